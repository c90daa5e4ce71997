import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
from conftest import Api

from app.coach import Coach, is_usable
from app.database import Database

KEY = "AIza" + "k" * 35


def gemini(answer: Callable[[httpx.Request], httpx.Response]) -> Coach:
    return Coach(KEY, httpx.MockTransport(answer))


@pytest.mark.parametrize(
    "key", ["", "test-key", "changeme", "CHANGE-ME-TO-A-REAL-KEY-PLEASE", "<your-gemini-api-key-goes-here>", "AIza"]
)
def test_a_placeholder_is_not_a_key(key: str) -> None:
    assert not is_usable(key)


def test_without_a_key_the_chat_is_off_and_says_so(api: Api) -> None:
    response = api("POST", "/chat", {"message": "How do I begin?"}, api.register())
    assert response.status_code == 503
    assert "`GEMINI_API_KEY` is empty or a placeholder" in response.json()["detail"]


def test_with_a_key_gemini_answers(api_with: Callable[[Database, Coach], Api], database: Database) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        parts = [{"text": "Begin with "}, {"text": "one page."}]
        return httpx.Response(200, json={"candidates": [{"content": {"parts": parts}}]})

    api = api_with(database, gemini(answer))
    response = api("POST", "/chat", {"message": "How do I begin?"}, api.register())
    assert (response.status_code, response.json()) == (200, {"reply": "Begin with one page."})
    (request,) = asked
    assert request.headers["x-goog-api-key"] == KEY
    assert KEY not in str(request.url)
    assert json.loads(request.content)["contents"][0]["parts"] == [{"text": "How do I begin?"}]


def unreachable(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route")


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (lambda _: httpx.Response(403), "refused `GEMINI_API_KEY`"),
        (lambda _: httpx.Response(429), "returned status 429"),
        (lambda _: httpx.Response(200, text="<html>"), "returned no text"),
        (lambda _: httpx.Response(200, json={"candidates": []}), "returned no text"),
        (lambda _: httpx.Response(200, json=[1]), "returned no text"),
        (unreachable, "not reachable (ConnectError)"),
    ],
)
def test_a_coach_that_cannot_answer_says_why(
    api_with: Callable[[Database, Coach], Api],
    database: Database,
    answer: Callable[[httpx.Request], httpx.Response],
    cause: str,
) -> None:
    api = api_with(database, gemini(answer))
    response = api("POST", "/chat", {"message": "Hello"}, api.register())
    assert response.status_code == 503
    assert cause in response.json()["detail"]
    assert KEY not in response.text


def test_only_who_logged_in_may_ask(api: Api) -> None:
    assert api("POST", "/chat", {"message": "Hello"}).status_code == 401


def test_a_coach_that_is_off_can_be_closed(runner: asyncio.Runner) -> None:
    runner.run(Coach("").close())
