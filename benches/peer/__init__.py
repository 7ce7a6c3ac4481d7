"""The same service as it is usually written, and how fast this one is beside it."""
