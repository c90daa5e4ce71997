"""The HTTP interface. `/docs` shows it in a browser."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal
from uuid import uuid4

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Request, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field, StringConstraints

from app.coach import Coach, CoachUnavailableError
from app.database import Database, DatabaseError, DatabaseProbe, Row
from app.security import TOKEN_LIFETIME, PasswordHasher, TokenIssuer
from app.settings import Settings
from app.streaks import current_streak

logger = logging.getLogger(__name__)

# An address is only a name to log in with here, no mail is ever sent: one `@` between two non-empty parts will do.
Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, to_lower=True, max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$"
    ),
]
HabitName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$"),
]
HabitId = Annotated[int, Path(ge=1, lt=2**63)]


class Credentials(BaseModel):
    email: Email
    password: str = Field(min_length=8, max_length=128)


class Token(BaseModel):
    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = int(TOKEN_LIFETIME.total_seconds())


class NewHabit(BaseModel):
    name: HabitName


class Habit(BaseModel):
    id: int
    name: str
    streak: int
    checked_today: bool


class Question(BaseModel):
    message: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Answer(BaseModel):
    reply: str


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    database: Literal["ok", "unreachable"]


class Problem(BaseModel):
    detail: str


@dataclass(frozen=True)
class Services:
    """What the routes work with; made once for each process."""

    database: Database
    probe: DatabaseProbe
    passwords: PasswordHasher
    tokens: TokenIssuer
    coach: Coach


def create_app(settings: Settings, database: Database, coach: Coach) -> FastAPI:
    """The application. It closes the database and the coach when it stops."""
    services = Services(
        database=database,
        probe=DatabaseProbe(database),
        passwords=PasswordHasher(),
        tokens=TokenIssuer(settings.jwt_secret, settings.jwt_algorithm),
        coach=coach,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.passwords.close()
        await coach.close()
        await database.close()

    app = FastAPI(title="Habit tracker", version="1.0.0", lifespan=lifespan)
    app.state.services = services
    app.include_router(router)
    app.add_exception_handler(RequestValidationError, _refuse)
    app.add_exception_handler(DatabaseError, _database_failed)
    return app


async def _refuse(_: Request, error: Exception) -> Response:
    """One sentence, like every other refusal; the framework's own answer would repeat the password that was sent."""
    assert isinstance(error, RequestValidationError)
    problems = (f"`{'.'.join(str(part) for part in p['loc'][1:])}`: {p['msg']}" for p in error.errors())
    return JSONResponse({"detail": "; ".join(problems)}, status.HTTP_422_UNPROCESSABLE_CONTENT)


async def _database_failed(_: Request, error: Exception) -> Response:
    logger.error("the database does not answer: %s", error)
    return JSONResponse(
        {"detail": "The database does not answer. Try again in a moment."}, status.HTTP_503_SERVICE_UNAVAILABLE
    )


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Injected = Annotated[Services, Depends(_services)]


async def _current_user(
    services: Injected, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
) -> str:
    user_id = services.tokens.user_of(bearer.credentials) if bearer else None
    if user_id is None:
        raise _unauthorized("Log in: the access token is missing, expired or not valid.")
    return user_id


CurrentUser = Annotated[str, Depends(_current_user)]
router = APIRouter(responses={422: {"model": Problem}, 503: {"model": Problem}})


@router.get("/health")
async def health(services: Injected) -> Health:
    """Liveness and readiness in one. It is 200 as long as this process answers, whatever the database does: a
    restart mends no database, and a request that needs it gets a 503 that says so."""
    return Health(database="ok" if await services.probe.answers() else "unreachable")


@router.post("/auth/register", status_code=status.HTTP_201_CREATED, responses={409: {"model": Problem}})
async def register(services: Injected, credentials: Credentials) -> Token:
    # A random id, so that a token never fits another account, not even in a database that was made anew.
    user_id = str(uuid4())
    created = await services.database.execute(
        "INSERT INTO users (id, email, password_hash) VALUES (%s, %s, %s) ON CONFLICT (email) DO NOTHING RETURNING id",
        user_id,
        credentials.email,
        await services.passwords.hash(credentials.password),
    )
    if not created:
        raise HTTPException(status.HTTP_409_CONFLICT, f"`{credentials.email}` is registered already. Log in.")
    return Token(access_token=services.tokens.issue(user_id))


@router.post("/auth/login", responses={401: {"model": Problem}})
async def log_in(services: Injected, credentials: Credentials) -> Token:
    rows = await services.database.execute("SELECT id, password_hash FROM users WHERE email = %s", credentials.email)
    user_id, password_hash = rows[0] if rows else (None, None)
    if not await services.passwords.matches(credentials.password, password_hash):
        raise _unauthorized("The address or the password is wrong.")
    return Token(access_token=services.tokens.issue(user_id))


@router.get("/habits", responses={401: {"model": Problem}})
async def list_habits(services: Injected, user_id: CurrentUser, today: date | None = None) -> list[Habit]:
    """`today` is the caller's date, which differs from the server's (UTC) near midnight."""
    rows = await services.database.execute(
        "SELECT habits.id, name, day FROM users LEFT JOIN habits ON user_id = users.id"
        " LEFT JOIN checks ON habit_id = habits.id WHERE users.id = %s ORDER BY habits.id",
        user_id,
    )
    if not rows:
        raise _unauthorized("The account does not exist any more. Register again.")
    return _habits([row for row in rows if row[0] is not None], today or _utc_today())


@router.post("/habits", status_code=status.HTTP_201_CREATED, responses={401: {"model": Problem}})
async def create_habit(services: Injected, user_id: CurrentUser, habit: NewHabit) -> Habit:
    rows = await services.database.execute(
        "INSERT INTO habits (user_id, name) SELECT id, %s FROM users WHERE id = %s RETURNING id", habit.name, user_id
    )
    if not rows:
        raise _unauthorized("The account does not exist any more. Register again.")
    return Habit(id=rows[0][0], name=habit.name, streak=0, checked_today=False)


@router.put("/habits/{habit_id}/checks/{day}", responses={401: {"model": Problem}, 404: {"model": Problem}})
async def check_off(
    services: Injected, user_id: CurrentUser, habit_id: HabitId, day: date, today: date | None = None
) -> Habit:
    """Marks the habit as kept on that day. Saying it twice is saying it once."""
    # A day begins 14 hours earlier than in UTC at the most, so this is the latest today there is.
    if day > _utc_today() + timedelta(days=1):
        raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, f"`{day}` is in the future.")
    await services.database.execute(
        "INSERT INTO checks (habit_id, day) SELECT id, %s FROM habits WHERE id = %s AND user_id = %s"
        " ON CONFLICT DO NOTHING",
        day,
        habit_id,
        user_id,
    )
    return await _find_habit(services, user_id, habit_id, today or _utc_today())


@router.delete("/habits/{habit_id}/checks/{day}", responses={401: {"model": Problem}, 404: {"model": Problem}})
async def take_back(
    services: Injected, user_id: CurrentUser, habit_id: HabitId, day: date, today: date | None = None
) -> Habit:
    """Takes a check-off back."""
    await services.database.execute(
        "DELETE FROM checks WHERE day = %s AND habit_id IN (SELECT id FROM habits WHERE id = %s AND user_id = %s)",
        day,
        habit_id,
        user_id,
    )
    return await _find_habit(services, user_id, habit_id, today or _utc_today())


async def _find_habit(services: Services, user_id: str, habit_id: int, today: date) -> Habit:
    rows = await services.database.execute(
        "SELECT habits.id, name, day FROM habits LEFT JOIN checks ON habit_id = habits.id"
        " WHERE habits.id = %s AND user_id = %s",
        habit_id,
        user_id,
    )
    if not rows:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no habit `{habit_id}`.")
    return _habits(rows, today)[0]


@router.post("/chat", responses={401: {"model": Problem}})
async def chat(services: Injected, _: CurrentUser, question: Question) -> Answer:
    try:
        return Answer(reply=await services.coach.answer(question.message))
    except CoachUnavailableError as error:
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, str(error)) from error


def _habits(rows: Sequence[Row], today: date) -> list[Habit]:
    """Folds rows of (habit, name, checked day or nothing) into habits, in the order of the rows."""
    days_of: dict[tuple[int, str], list[date]] = {}
    for habit_id, name, day in rows:
        days = days_of.setdefault((habit_id, name), [])
        if day is not None:
            days.append(day)
    return [
        Habit(id=habit_id, name=name, streak=current_streak(days, today), checked_today=today in days)
        for (habit_id, name), days in days_of.items()
    ]


def _utc_today() -> date:
    return datetime.now(UTC).date()


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(status.HTTP_401_UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})
