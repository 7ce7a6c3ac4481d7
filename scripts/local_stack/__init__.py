"""The parts of ``scripts/stack.py``.

``places``   where everything lies
``machine``  what this machine offers, and what it lacks
``packages`` system packages: which are there, and installing the others
``install``  ``setup``: the virtual environment with Triton in it
``backend``  ``setup``: the backend of the embedded inpainter
``isnet``    ``setup``: the weights of the embedded segmenter
``ports``    free ports on loopback
``triton``   one Triton process: start, readiness, end
``gateway``  the gateway process of ``run``
``commands`` what the command line does
``cli``      the command line
"""
