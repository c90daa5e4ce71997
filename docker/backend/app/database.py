"""One small door to PostgreSQL or SQLite: statements in, rows out.

Every statement of this application is complete in itself, so each runs in autocommit mode and none needs a transaction
of its own. Statements are written with PostgreSQL's `%s` placeholders.
"""

import asyncio
import re
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from time import monotonic
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import psycopg
import psycopg_pool

Row = tuple[Any, ...]

# How long a database may take to come up beside this process before start-up fails.
STARTUP_SECONDS = 20.0
RETRY_SECONDS = 0.5
CONNECT_SECONDS = 5
POOL_SIZE = 10
# How long a request waits for a free connection before it is answered with 503.
CHECKOUT_SECONDS = 5.0
SQLITE_BUSY_SECONDS = 5.0
# Any number will do, as long as every replica takes the same one.
SCHEMA_LOCK = 4_242_001

POSTGRES_SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS habits (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS habits_by_user ON habits (user_id);
CREATE TABLE IF NOT EXISTS checks (
    habit_id BIGINT NOT NULL REFERENCES habits (id) ON DELETE CASCADE,
    day DATE NOT NULL,
    PRIMARY KEY (habit_id, day)
);
"""
SQLITE_SCHEMA = POSTGRES_SCHEMA.replace("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "INTEGER PRIMARY KEY")


class DatabaseError(Exception):
    """The database did not answer, or refused. The message names no password."""


class Database(Protocol):
    async def execute(self, sql: str, *values: object) -> Sequence[Row]:
        """Runs one statement and returns its rows (none if it yields no rows)."""

    async def close(self) -> None: ...


async def open_database(url: str) -> Database:
    """Connects, waiting a bounded time for a server that is still starting, and creates the schema."""
    if url.startswith("sqlite:"):
        return await SqliteDatabase.open(url.removeprefix("sqlite:///"))
    return await PostgresDatabase.open(url)


class PostgresDatabase:
    def __init__(self, pool: psycopg_pool.AsyncConnectionPool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str) -> "PostgresDatabase":
        await cls._create_schema(url)
        pool = psycopg_pool.AsyncConnectionPool(
            url,
            kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS},
            # A connection that the server closed meanwhile is replaced before a request meets it.
            check=psycopg_pool.AsyncConnectionPool.check_connection,
            min_size=1,
            max_size=POOL_SIZE,
            timeout=CHECKOUT_SECONDS,
            open=False,
        )
        await pool.open()
        return cls(pool)

    @staticmethod
    async def _create_schema(url: str) -> None:
        deadline = monotonic() + STARTUP_SECONDS
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(url, connect_timeout=CONNECT_SECONDS) as connection:
                    # `IF NOT EXISTS` alone still fails when two replicas create the same table at the same moment.
                    await connection.execute("SELECT pg_advisory_xact_lock(%s)", [SCHEMA_LOCK])
                    await connection.execute(POSTGRES_SCHEMA)
                    return
            except psycopg.OperationalError as error:
                if monotonic() >= deadline:
                    raise DatabaseError(_without_password(error, url)) from error
            except psycopg.Error as error:
                raise DatabaseError(_without_password(error, url)) from error
            await asyncio.sleep(RETRY_SECONDS)

    async def execute(self, sql: str, *values: object) -> Sequence[Row]:
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(sql.encode(), values)
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
            raise DatabaseError(_one_line(error)) from error

    async def close(self) -> None:
        await self._pool.close()


class SqliteDatabase:
    """One connection in one thread, so that statements wait for each other there and not in SQLite's file locks."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    @classmethod
    async def open(cls, path: str) -> "SqliteDatabase":
        sqlite3.register_adapter(date, date.isoformat)
        sqlite3.register_converter("DATE", lambda text: date.fromisoformat(text.decode()))

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                path, timeout=SQLITE_BUSY_SECONDS, isolation_level=None, detect_types=sqlite3.PARSE_DECLTYPES
            )
            # With a write-ahead log, NORMAL can lose the last moments at a power cut but never corrupts the file.
            connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;")
            connection.executescript(f"BEGIN IMMEDIATE; {SQLITE_SCHEMA} COMMIT;")
            return connection

        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, connect)
        except sqlite3.Error as error:
            thread.shutdown()
            raise DatabaseError(f"{error} (file `{path}`)") from error
        return cls(connection, thread)

    async def execute(self, sql: str, *values: object) -> Sequence[Row]:
        def run() -> Sequence[Row]:
            return self._connection.execute(sql.replace("%s", "?"), values).fetchall()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except sqlite3.OperationalError as error:
            raise DatabaseError(_one_line(error)) from error

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()


def _one_line(error: Exception) -> str:
    # libpq asks back after a refused connection, which reads badly in the middle of a line.
    message = re.sub(r"Is the server running .*\?", "", str(error))
    return re.sub(r"\s+", " ", message).strip()


def _without_password(error: Exception, url: str) -> str:
    message = _one_line(error)
    password = urlsplit(url).password or ""
    for spelling in {password, unquote(password)} - {""}:
        message = message.replace(spelling, "***")
    return message


class DatabaseProbe:
    """Says whether the database answers, at most asking once a second however many callers there are."""

    FRESH_SECONDS = 1.0
    # Below the second that a Kubernetes probe waits by default.
    PATIENCE_SECONDS = 0.5

    def __init__(self, database: Database) -> None:
        self._database = database
        self._question: asyncio.Task[bool] | None = None
        self._asked_at = 0.0

    async def answers(self) -> bool:
        now = monotonic()
        if self._question is None or (self._question.done() and now - self._asked_at > self.FRESH_SECONDS):
            self._question = asyncio.create_task(self._ask())
            self._asked_at = now
        # Another caller may put a new question in its place meanwhile.
        question = self._question
        done, _ = await asyncio.wait({question}, timeout=self.PATIENCE_SECONDS)
        return bool(done) and question.result()

    async def _ask(self) -> bool:
        try:
            await self._database.execute("SELECT 1")
        except DatabaseError:
            return False
        return True
