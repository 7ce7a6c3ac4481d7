"""What the proofs share.

``fleet``    real Tritons that can be killed, stopped and started again
``way``      a way to a Triton that can lead elsewhere or be made silent
``gateway``  the gateway as a process: its settings, its memory, its end
``callers``  callers over HTTP, and what became of their requests
``grid``     HEIC photos of tiles
``uploads``  the photos and forms that they send
``goals``    what was measured beside what was to be reached
``slow``     hostile connections, as a program of its own
"""
