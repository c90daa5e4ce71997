"""The process as a container runs it: how it refuses to start, and how it stops."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import uvicorn

from app.server import Drain, Message, Receive, Send, Server

ROOT = Path(__file__).parent.parent


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_its_variables_it_says_one_line_and_fails() -> None:
    run = start(JWT_SECRET="hidden")
    assert run.returncode == 1
    assert run.stderr == ""
    (line,) = run.stdout.splitlines()
    assert line.startswith(
        "cannot start: `DATABASE_URL` is not set; `JWT_ALGORITHM` is not set; `JWT_SECRET` has 6 bytes"
    )
    assert "hidden" not in line


def test_without_its_database_it_says_one_line_and_fails(tmp_path: Path) -> None:
    run = start(
        DATABASE_URL=f"sqlite:///{tmp_path}/missing/habits.db",
        JWT_SECRET="0123456789abcdef0123456789abcdef",
        JWT_ALGORITHM="HS256",
        GEMINI_API_KEY="",
    )
    assert run.returncode == 1
    assert run.stderr == ""
    (line,) = run.stdout.splitlines()
    assert line.startswith("cannot start: the database of `DATABASE_URL` cannot be used: unable to open database file")


class SlowApp:
    """Answers `/slow` only after it is let."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            self.reached.set()
            await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_sigterm_loses_no_request() -> None:
    async def scenario() -> None:
        app = SlowApp()
        drain = Drain(app)
        config = uvicorn.Config(drain, host="127.0.0.1", port=0, lifespan="off", log_config=None)
        server = Server(config, drain, drain_seconds=0.3)
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            before = await client.get("/")
            assert "connection" not in before.headers
            slow = asyncio.create_task(client.get("/slow"))
            await app.reached.wait()

            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: drain.begun)
            late = await client.get("/")
            assert (late.status_code, late.headers["connection"]) == (200, "close")

            await until(lambda: not server.servers[0].is_serving())
            assert not slow.done()
            app.go_on.set()
            assert (await slow).text == "ok"
        await serving

    asyncio.run(scenario())
