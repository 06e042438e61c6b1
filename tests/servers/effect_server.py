"""The outside world of the fault tests: each POST is an effect, noted with its key in an fsynced journal before it is answered.

With an ``Idempotency-Key`` that it knows it gives the first answer again and applies nothing. ``GET /find/KEY`` tells what became
of a key (404: nothing). `behave` as in `loopback.misbehave`, and ``late`` (applies, then resets), ``refuse`` (resets before
applying). Run as a process: ``python -m tests.servers.effect_server --journal FILE``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.servers.loopback import Asked, Connection, Server, main, misbehave


@dataclass
class EffectServer(Server):
    applied: dict[str, dict[str, Any]] = field(default_factory=dict)
    effects: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, asked: Asked, connection: Connection, behave: dict[str, Any]) -> None:
        name = str(behave.get("behave", ""))
        if "delay" in behave:
            await asyncio.sleep(float(behave["delay"]))
        if asked.path == "/effects":
            await connection.answer(200, {"effects": self.effects})
            return
        if asked.path.startswith("/find/"):
            if await misbehave(name, behave, connection):
                return
            found = self.applied.get(asked.path.removeprefix("/find/"))
            await connection.answer(200 if found else 404, found or {"error": "unknown key"})
            return
        if asked.path.startswith("/echo"):
            answer = {"method": asked.method, "path": asked.path, "headers": asked.headers, "body": asked.body.decode()}
            await (connection.answer(200, answer) if not await misbehave(name, behave, connection) else asyncio.sleep(0))
            return
        if name == "refuse":
            connection.reset()
            return
        if name and name != "late" and await misbehave(name, behave, connection):
            return
        answer = self._apply(asked)
        if name == "late":
            connection.reset()
            return
        await connection.answer(201, answer)

    def _apply(self, asked: Asked) -> dict[str, Any]:
        key = asked.headers.get("idempotency-key")
        if key and key in self.applied:
            return {**self.applied[key], "repeated": True}
        effect = {"id": f"effect_{len(self.effects) + 1}", "path": asked.path, "key": key, "body": asked.json}
        self.effects.append(effect)
        if key:
            self.applied[key] = effect
        return effect


if __name__ == "__main__":
    main(EffectServer)
