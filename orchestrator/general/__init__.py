"""``/settings/general``: what this installation is, how it is backed up, and whether its letters arrive."""
