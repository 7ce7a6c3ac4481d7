"""Containers and clusters run for real, on a Docker engine that is brought along.

Plain Python 3.11 on a Debian machine, as root; see ``make test-compose`` and ``make test-swarm``.
"""
