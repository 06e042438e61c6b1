"""Keeps the servers and processes of one machine running for as long as ``up`` runs, and ends them with it."""
