"""The same tests against SQLite, and against PostgreSQL when `TEST_DATABASE_URL` names a database to use up."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from app.api import create_app
from app.coach import Coach
from app.database import Database, open_database
from app.settings import Settings

PASSWORD = "correct horse battery"


class Api:
    """The application without a network, called as from a blocking client."""

    def __init__(self, runner: asyncio.Runner, client: httpx.AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def __call__(self, method: str, path: str, json: object = None, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self._runner.run(self._client.request(method, path, json=json, headers=headers))

    def register(self, email: str = "ada@example.org") -> str:
        response = self("POST", "/auth/register", {"email": email, "password": PASSWORD})
        assert response.status_code == 201, response.text
        return str(response.json()["access_token"])

    def create_habit(self, token: str, name: str = "Read") -> Any:
        response = self("POST", "/habits", {"name": name}, token)
        assert response.status_code == 201, response.text
        return response.json()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/habits.db"
    url = os.environ.get("TEST_DATABASE_URL")
    if not url:
        pytest.skip("`TEST_DATABASE_URL` is not set")
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS checks, habits, users")
    return url


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def database(runner: asyncio.Runner, database_url: str) -> Iterator[Database]:
    database = runner.run(open_database(database_url))
    yield database
    runner.run(database.close())


@pytest.fixture
def api_with(runner: asyncio.Runner) -> Callable[[Database, Coach], Api]:
    def make(database: Database, coach: Coach) -> Api:
        settings = Settings(
            database_url="unused", jwt_secret="test-only-" + "s" * 32, jwt_algorithm="HS256", gemini_api_key="unused"
        )
        transport = httpx.ASGITransport(create_app(settings, database, coach))
        return Api(runner, httpx.AsyncClient(transport=transport, base_url="http://test"))

    return make


@pytest.fixture
def api(api_with: Callable[[Database, Coach], Api], database: Database) -> Api:
    return api_with(database, Coach(""))
