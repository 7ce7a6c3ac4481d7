"""The experiments of ``chaos.py``, one a module: each measures and adds its rows to the report."""
