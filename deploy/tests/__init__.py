"""Checks of the files that run and watch the service."""
