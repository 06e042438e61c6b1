"""The product's settings over a data folder of this test session's own: two sessions never meet, and no real data is touched.

Processes that a test starts inherit the folder by the environment and so use the same servers. The processes among which xdist shares
the tests are sessions of their own: each has a folder, servers and a database.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "ORCHESTRATOR_TEST_DATA" not in os.environ or (
    os.environ.get("ORCHESTRATOR_TEST_WORKER", "") != os.environ.get("PYTEST_XDIST_WORKER", "")
):
    os.environ["ORCHESTRATOR_TEST_WORKER"] = os.environ.get("PYTEST_XDIST_WORKER", "")
    os.environ.pop("ORCHESTRATOR_TEST_DATABASE", None)
    _folder = Path(tempfile.mkdtemp(prefix="orchestrator-test-"))
    _folder.chmod(0o711)  # root's servers run as another account, which must pass through
    _owner = os.getpid()
    os.environ["ORCHESTRATOR_TEST_DATA"] = str(_folder)

    @atexit.register
    def _remove() -> None:
        if os.getpid() == _owner:  # not in a forked child
            shutil.rmtree(_folder, ignore_errors=True)


os.environ["ORCHESTRATOR_DATA"] = os.environ["ORCHESTRATOR_TEST_DATA"]

from orchestrator.settings import *  # noqa: F403
from orchestrator.settings import DATABASES

DATABASES["default"]["TEST"] = {"NAME": os.environ.setdefault("ORCHESTRATOR_TEST_DATABASE", f"test_{os.getpid()}")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one is slow on purpose
