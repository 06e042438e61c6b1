"""Memories: what runs leave for later ones, by name; read and written by steps, seen and deleted by people."""
