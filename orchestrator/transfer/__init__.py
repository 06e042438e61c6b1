"""``/settings/data``: what this installation is configured with as one file, and what comes in again of such a file."""
