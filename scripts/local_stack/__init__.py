"""The parts of ``scripts/stack.py``.

``places``   where everything lies
``machine``  what this machine offers, and what it lacks
``packages`` system packages: which are there, and installing the others
``install``  ``setup``: Triton, unpacked into a folder
``wheels``   ``setup``: what is taken out of which wheels
``backend``  ``setup``: our backend, built and put into Triton
``isnet``    ``setup``: the weights of the embedded segmenter
``ports``    free ports on loopback
``triton``   one Triton process: start, readiness, end
``gateway``  the gateway process of ``run``
``commands`` what the command line does
``cli``      the command line
"""
