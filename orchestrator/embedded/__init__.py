"""A real PostgreSQL and a real Valkey from Python wheels, run on private sockets below the data folder.

``servers.running_servers()`` is the door for commands and tests; `orchestrator.supervisor` runs the same programs for ``up``.
"""
