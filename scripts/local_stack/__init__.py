"""The parts of ``scripts/stack.py``.

``places``   paths
``machine``  what this machine supports
``packages`` system packages: checking and installing
``install``  ``setup``: Triton, unpacked into a folder
``wheels``   ``setup``: what to extract from which wheels
``backend``  ``setup``: builds our backend and installs it into Triton
``isnet``    ``setup``: the weights of the embedded segmenter
``ports``    free ports on loopback
``triton``   one Triton process: start, readiness, shutdown
``gateway``  the gateway process of ``run``
``commands`` the commands of the command line
``cli``      the command line
"""
