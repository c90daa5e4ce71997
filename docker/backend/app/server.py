"""Serving, and stopping without losing a request.

When Kubernetes deletes a pod it sends SIGTERM and takes the pod out of its Service at the same moment, so requests
still arrive for a little while. Therefore SIGTERM first opens a short phase in which everything is answered as before,
but with `Connection: close`, so that clients come back on a connection to another pod. Only then does the port close,
and what is still being answered is finished.
"""

import logging
import math
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from types import FrameType
from typing import Any

import uvicorn

from app import PORT

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 3.0
# With the drain, and a few seconds of a `preStop` hook before it, this stays below the 30 seconds after which
# Kubernetes kills.
FINISH_SECONDS = 15

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Drain:
    """Wraps the application; once begun, every response closes its connection."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.begun = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def send_closing(message: Message) -> None:
            if self.begun and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_closing if scope["type"] == "http" else send)


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, drain: Drain, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._stop_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first SIGTERM drains. A second one, or Ctrl-C, stops at once."""
        if sig != signal.SIGTERM or self._drain.begun:
            super().handle_exit(sig, frame)
            return
        self._drain.begun = True
        self._stop_at = monotonic() + self._drain_seconds
        logger.info("stopping: answering for %g s more, then finishing open requests", self._drain_seconds)

    async def on_tick(self, counter: int) -> bool:
        if monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)


async def serve(app: App, port: int = PORT, drain_seconds: float = DRAIN_SECONDS) -> None:
    drain = Drain(app)
    config = uvicorn.Config(
        drain,
        host="0.0.0.0",
        port=port,
        http="httptools",
        access_log=False,
        timeout_graceful_shutdown=FINISH_SECONDS,
        log_config=None,
    )
    await Server(config, drain, drain_seconds).serve()
