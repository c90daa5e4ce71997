"""The four environment variables, read once and checked before anything else starts.

A problem is said by variable name and reason only: three of the four values are secrets, so none is ever printed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

# The symmetric algorithms, with the shortest secret that RFC 7518 (section 3.2) allows for each.
MIN_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}


class SettingsError(Exception):
    """The environment does not describe a configuration that can be used."""


@dataclass(frozen=True)
class Settings:
    database_url: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    jwt_algorithm: str
    gemini_api_key: str = field(repr=False)


def load_settings(env: Mapping[str, str]) -> Settings:
    """Reads the settings, or raises one `SettingsError` that names every variable with a problem."""
    problems: list[str] = []

    def read(name: str, problem_of: Callable[[str], str | None]) -> str:
        value = env.get(name)
        problem = "is not set" if value is None else problem_of(value)
        if problem is not None:
            problems.append(f"`{name}` {problem}")
        return value or ""

    settings = Settings(
        database_url=read("DATABASE_URL", _database_url_problem),
        jwt_algorithm=read("JWT_ALGORITHM", _algorithm_problem),
        jwt_secret=read("JWT_SECRET", lambda value: _secret_problem(value, env.get("JWT_ALGORITHM", ""))),
        gemini_api_key=read("GEMINI_API_KEY", _header_value_problem),
    )
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def _database_url_problem(url: str) -> str | None:
    if url.startswith("sqlite:///"):
        return None if url != "sqlite:///" else "names no file; write `sqlite:////absolute/path.db`"
    if url.startswith(("postgresql://", "postgres://")):
        return _postgres_url_problem(url)
    return "starts with neither `postgresql://` nor `sqlite:///`"


def _postgres_url_problem(url: str) -> str | None:
    # An unescaped reserved character moves the end of the password, so that a piece of it would be taken for the
    # host, port or database name and be printed as such when the connection fails. Hence the strict reading.
    escape = "has a reserved character (one of `@ : / ? #`) that must be percent-encoded"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"has a port that is not a number, or {escape}"
    database = parts.path.removeprefix("/")
    if parts.netloc.count("@") > 1 or parts.fragment or "@" in database + parts.query or "/" in database:
        return escape
    if not parts.hostname or port == 0 or not database:
        return "lacks a host or database name, or has port 0; write `postgresql://user:password@host:5432/database`"
    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        return "is not a connection URL that PostgreSQL's client library understands"
    return None


def _algorithm_problem(algorithm: str) -> str | None:
    if algorithm in MIN_SECRET_BYTES:
        return None
    return f"is not one of {', '.join(MIN_SECRET_BYTES)}"


def _secret_problem(secret: str, algorithm: str) -> str | None:
    wanted = MIN_SECRET_BYTES.get(algorithm, min(MIN_SECRET_BYTES.values()))
    size = len(secret.encode())
    if size >= wanted:
        return None
    return f"has {size} bytes, and {wanted} are the least that are safe; make one with `openssl rand -hex 32`"


def _header_value_problem(key: str) -> str | None:
    """The key is sent as an HTTP header. An empty one is allowed: it turns the coach off."""
    if all("!" <= character <= "~" for character in key):
        return None
    return "has a space, a line end or another character that a key cannot have"
