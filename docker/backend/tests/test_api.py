from datetime import UTC, datetime, timedelta

import jwt
import pytest
from conftest import PASSWORD, Api

TODAY = datetime.now(UTC).date()


def days_ago(count: int) -> str:
    return str(TODAY - timedelta(days=count))


def test_health_says_that_the_database_answers(api: Api) -> None:
    response = api("GET", "/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "database": "ok"})


def test_the_interface_is_documented(api: Api) -> None:
    assert api("GET", "/docs").status_code == 200
    paths = api("GET", "/openapi.json").json()["paths"]
    assert {"/health", "/auth/register", "/auth/login", "/habits", "/chat"} < set(paths)


def test_who_registered_can_log_in_with_another_spelling_of_the_address(api: Api) -> None:
    api.register("ada@example.org")
    response = api("POST", "/auth/login", {"email": " Ada@Example.org", "password": PASSWORD})
    assert response.status_code == 200
    body = response.json()
    assert (body["token_type"], body["expires_in"]) == ("bearer", 43200)
    assert api("GET", "/habits", token=body["access_token"]).json() == []


def test_an_address_is_registered_once(api: Api) -> None:
    api.register()
    response = api("POST", "/auth/register", {"email": "ADA@example.org", "password": PASSWORD})
    assert response.status_code == 409
    assert "registered already" in response.json()["detail"]


@pytest.mark.parametrize(("email", "password"), [("ada@example.org", "wrong password"), ("bob@example.org", PASSWORD)])
def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(api: Api, email: str, password: str) -> None:
    api.register("ada@example.org")
    response = api("POST", "/auth/login", {"email": email, "password": password})
    assert (response.status_code, response.json()["detail"]) == (401, "The address or the password is wrong.")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "ada", "password": PASSWORD}, "email"),
        ({"email": "a\u0000@b", "password": PASSWORD}, "email"),
        ({"email": "ada@example.org", "password": "hunter2"}, "password"),
        ({"email": "ada@example.org"}, "password"),
    ],
)
def test_a_refusal_names_the_field_and_does_not_repeat_the_password(api: Api, body: dict[str, str], field: str) -> None:
    response = api("POST", "/auth/register", body)
    assert response.status_code == 422
    assert response.json()["detail"].startswith(f"`{field}`: ")
    assert body.get("password", "-") not in response.text.replace('"password"', "")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/habits"),
        ("POST", "/habits"),
        ("PUT", "/habits/1/checks/2026-01-01"),
        ("DELETE", "/habits/1/checks/2026-01-01"),
        ("POST", "/chat"),
    ],
)
def test_everything_personal_needs_a_token(api: Api, method: str, path: str) -> None:
    body = {"name": "Read", "message": "Hello"} if method == "POST" else None
    for token in (None, "nonsense", jwt.encode({"sub": "someone"}, "another-secret-of-thirty-two-bytes", "HS256")):
        response = api(method, path, body, token)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_new_habit_is_listed_after_the_older_ones(api: Api) -> None:
    token = api.register()
    first = api.create_habit(token, "  Read ten pages ")
    second = api.create_habit(token, "Walk")
    assert first == {"id": first["id"], "name": "Read ten pages", "streak": 0, "checked_today": False}
    assert api("GET", "/habits", token=token).json() == [first, second]


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\u0000b", "two\nlines"])
def test_a_habit_needs_a_name_of_one_short_line(api: Api, name: str) -> None:
    assert api("POST", "/habits", {"name": name}, api.register()).status_code == 422


def test_checking_off_makes_a_streak_and_twice_is_once(api: Api) -> None:
    token = api.register()
    habit = api.create_habit(token)
    path = f"/habits/{habit['id']}/checks"
    for ago, streak in ((1, 1), (0, 2), (0, 2), (2, 3)):
        response = api("PUT", f"{path}/{days_ago(ago)}", token=token)
        assert (response.status_code, response.json()["streak"]) == (200, streak)
    expected = habit | {"streak": 3, "checked_today": True}
    assert api("GET", "/habits", token=token).json() == [expected]


def test_a_check_can_be_taken_back(api: Api) -> None:
    token = api.register()
    path = f"/habits/{api.create_habit(token)['id']}/checks/{days_ago(0)}"
    assert api("PUT", path, token=token).json()["checked_today"] is True
    response = api("DELETE", path, token=token)
    assert (response.json()["checked_today"], response.json()["streak"]) == (False, 0)


def test_today_is_the_callers(api: Api) -> None:
    token = api.register()
    habit = api.create_habit(token)
    api("PUT", f"/habits/{habit['id']}/checks/2026-01-31", token=token)
    (seen,) = api("GET", "/habits?today=2026-02-01", token=token).json()
    assert (seen["streak"], seen["checked_today"]) == (1, False)
    (seen,) = api("GET", "/habits?today=2026-02-02", token=token).json()
    assert (seen["streak"], seen["checked_today"]) == (0, False)


def test_tomorrow_may_be_today_somewhere_but_the_day_after_is_not(api: Api) -> None:
    token = api.register()
    path = f"/habits/{api.create_habit(token)['id']}/checks"
    assert api("PUT", f"{path}/{days_ago(-1)}", token=token).status_code == 200
    response = api("PUT", f"{path}/{days_ago(-3)}", token=token)
    assert (response.status_code, "future" in response.json()["detail"]) == (422, True)


def test_nobody_touches_the_habits_of_another(api: Api) -> None:
    ada, bob = api.register("ada@example.org"), api.register("bob@example.org")
    habit = api.create_habit(ada)
    path = f"/habits/{habit['id']}/checks/{days_ago(0)}"
    assert api("PUT", path, token=bob).status_code == 404
    assert api("PUT", path, token=ada).status_code == 200
    assert api("DELETE", path, token=bob).status_code == 404
    assert api("GET", "/habits", token=ada).json()[0]["checked_today"] is True
    assert api("GET", "/habits", token=bob).json() == []


@pytest.mark.parametrize("habit", ["0", "-1", "x", str(2**63)])
def test_a_habit_number_that_cannot_be_is_refused(api: Api, habit: str) -> None:
    assert api("PUT", f"/habits/{habit}/checks/2026-01-01", token=api.register()).status_code == 422
