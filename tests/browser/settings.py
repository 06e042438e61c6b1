"""The settings of the server that the browser tests look at: this session's test database, and a clock that a test may set."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"]["NAME"] = os.environ["ORCHESTRATOR_TEST_DATABASE"]
CLOCK_FILE = os.environ.get("ORCHESTRATOR_TEST_CLOCK") or None
