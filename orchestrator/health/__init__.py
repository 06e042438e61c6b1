"""``/settings/health``: whether everything runs."""
