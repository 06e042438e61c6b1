"""Takes deliveries of webhooks and chats on loopback, and keeps each whole: headers and the very bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.servers.loopback import Asked, Connection, Server, misbehave


@dataclass
class HookServer(Server):
    deliveries: list[Asked] = field(default_factory=list)

    async def handle(self, asked: Asked, connection: Connection, behave: dict[str, Any]) -> None:
        self.deliveries.append(asked)
        name = str(behave.get("behave", ""))
        if name == "refuse":
            connection.reset()
        elif not name or not await misbehave(name, behave, connection):
            await connection.answer(200, {})
