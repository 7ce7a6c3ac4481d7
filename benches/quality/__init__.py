"""Measures how good a fill looks: this service beside shrinking the whole photo to 1024 pixels."""
