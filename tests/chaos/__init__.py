"""``make chaos``: the long form of the fault suite. Storms over a whole installation, and what must hold after each."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
django.setup()
