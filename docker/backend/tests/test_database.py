import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
import pytest
from conftest import Api

from app import database as database_module
from app.coach import Coach
from app.database import Database, DatabaseError, DatabaseProbe, Row, open_database


class BrokenDatabase:
    """Answers nothing, or not in time."""

    def __init__(self, *, hangs: bool = False) -> None:
        self._hangs = hangs
        self.asked = 0

    async def execute(self, sql: str, *values: object) -> Sequence[Row]:
        self.asked += 1
        if self._hangs:
            await asyncio.Event().wait()
        raise DatabaseError("the server closed the connection")

    async def close(self) -> None: ...


@pytest.mark.parametrize("hangs", [False, True])
def test_health_is_200_and_says_that_the_database_does_not_answer(
    api_with: Callable[[Database, Coach], Api], hangs: bool
) -> None:
    broken = BrokenDatabase(hangs=hangs)
    api = api_with(broken, Coach(""))
    for _ in range(3):
        response = api("GET", "/health")
        assert (response.status_code, response.json()["database"]) == (200, "unreachable")
    assert broken.asked == 1


def test_the_probe_bears_many_callers_at_once(
    runner: asyncio.Runner, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With answers that are stale at once, one caller asks anew while others still wait for the last answer."""
    monkeypatch.setattr(DatabaseProbe, "FRESH_SECONDS", 0)
    probe = DatabaseProbe(database)

    async def ask_often() -> set[bool]:
        return {await probe.answers() for _ in range(20)}

    async def scenario() -> None:
        assert await asyncio.gather(*(ask_often() for _ in range(20))) == [{True}] * 20

    runner.run(scenario())


def test_a_request_that_needs_the_database_gets_503(api_with: Callable[[Database, Coach], Api], api: Api) -> None:
    token = api.register()
    response = api_with(BrokenDatabase(), Coach(""))("GET", "/habits", token=token)
    assert (response.status_code, "database does not answer" in response.json()["detail"]) == (503, True)


def test_a_token_does_not_outlive_its_account(api: Api, database: Database, runner: asyncio.Runner) -> None:
    token = api.register()
    runner.run(database.execute("DELETE FROM users"))
    assert api("GET", "/habits", token=token).status_code == 401
    assert api("POST", "/habits", {"name": "Read"}, token).status_code == 401


def test_replicas_that_start_at_once_share_one_schema(runner: asyncio.Runner, database_url: str) -> None:
    async def start_many() -> None:
        replicas = await asyncio.gather(*(open_database(database_url) for _ in range(8)))
        await replicas[0].execute("INSERT INTO users (id, email, password_hash) VALUES ('1', 'a@b', 'x')")
        assert list(await replicas[7].execute("SELECT email FROM users")) == [("a@b",)]
        for replica in replicas:
            await replica.close()

    runner.run(start_many())


def test_data_outlives_the_process(runner: asyncio.Runner, database_url: str) -> None:
    async def start_twice() -> None:
        first = await open_database(database_url)
        await first.execute("INSERT INTO users (id, email, password_hash) VALUES ('1', 'a@b', 'x')")
        await first.close()
        second = await open_database(database_url)
        assert list(await second.execute("SELECT id FROM users")) == [("1",)]
        await second.close()

    runner.run(start_twice())


def test_a_server_that_refuses_is_named_without_the_password(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "STARTUP_SECONDS", 0)
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        port = bound_but_not_listening.getsockname()[1]
        with pytest.raises(DatabaseError) as refusal:
            runner.run(open_database(f"postgresql://habit:opensesame@127.0.0.1:{port}/habits"))
    message = str(refusal.value)
    assert message.endswith("Connection refused")
    assert str(port) in message
    assert "opensesame" not in message
    assert "\n" not in message


def test_a_server_that_comes_up_late_is_waited_for(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    if not database_url.startswith("postgresql:"):
        pytest.skip("SQLite has no server")
    real_connect = psycopg.AsyncConnection.connect
    refusals = iter([psycopg.OperationalError("the database system is starting up")])

    async def connect(*arguments: object, **options: object) -> object:
        for refusal in refusals:
            raise refusal
        return await real_connect(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(database_module, "RETRY_SECONDS", 0)
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect)
    runner.run(runner.run(open_database(database_url)).close())
    assert next(refusals, None) is None


def test_a_file_that_cannot_be_made_is_named(runner: asyncio.Runner, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "habits.db"
    with pytest.raises(DatabaseError, match=f"unable to open database file .file `{path}`."):
        runner.run(open_database(f"sqlite:///{path}"))
