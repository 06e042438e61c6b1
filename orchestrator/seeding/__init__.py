"""Filling an installation: with a small one to look around in, or with a large one to measure."""
