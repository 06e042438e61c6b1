"""The web process: HTTP by Django, sockets by Channels, the Model Context Protocol by its own server."""

import os
import warnings
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
# Each request has a thread of its own, which would otherwise connect to PostgreSQL anew: 5 ms, and a connection that knows no table yet.
os.environ.setdefault("DATABASE_POOL", "20")
# WhiteNoise reads its files synchronously; they are small, and nobody who runs this can change it.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

http: Any = get_asgi_application()  # loads the apps, which the imports below need

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import path  # noqa: E402

from flows.api.mcp import mcp_door  # noqa: E402
from flows.runs.live import LiveConsumer  # noqa: E402
from orchestrator.bodies import bounded  # noqa: E402

sockets = URLRouter([path("ws/live", LiveConsumer.as_asgi())])
from_pages = AllowedHostsOriginValidator(AuthMiddlewareStack(sockets))


async def websocket(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """A socket with an API key needs no origin: a browser cannot send that header, and its session is not looked at."""
    with_key = any(name.lower() == b"authorization" for name, _ in scope.get("headers", []))
    await (sockets if with_key else from_pages)(scope, receive, send)


async def web(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Django, and beside it the one door whose protocol brings its own server."""
    await (mcp_door if scope["path"] == "/mcp" else http)(scope, receive, send)


application = ProtocolTypeRouter({"http": bounded(web), "websocket": websocket})
