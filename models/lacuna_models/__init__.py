"""Published networks to served models: fetch, export, compile, verify.

The commands are in ``cli``; ``models/README.md`` says what they do and describes each
model.
"""
