"""The effect server with the time of each request in its journal: ``python -m tests.faults.effects --journal FILE``."""

from __future__ import annotations

import time
from typing import Any

from tests.servers.effect_server import EffectServer
from tests.servers.loopback import Asked, main


class TimedEffectServer(EffectServer):
    def noted(self, asked: Asked) -> dict[str, Any]:
        return {**super().noted(asked), "at": time.time()}


if __name__ == "__main__":
    main(TimedEffectServer)
