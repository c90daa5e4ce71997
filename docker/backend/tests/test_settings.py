import re

import pytest

from app.settings import SettingsError, load_settings

GOOD = {
    "DATABASE_URL": "postgresql://habit:pass%40word@db:5432/habits",
    "JWT_SECRET": "0123456789abcdef0123456789abcdef",
    "JWT_ALGORITHM": "HS256",
    "GEMINI_API_KEY": "some-key",
}


def test_a_whole_environment_is_taken_as_it_is() -> None:
    settings = load_settings(GOOD)
    assert (settings.database_url, settings.jwt_secret) == (GOOD["DATABASE_URL"], GOOD["JWT_SECRET"])
    assert (settings.jwt_algorithm, settings.gemini_api_key) == ("HS256", "some-key")


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^`{name}` is not set$"):
        load_settings({key: value for key, value in GOOD.items() if key != name})


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings({})
    assert set(re.findall("`([A-Z_]+)` is not set", str(refusal.value))) == set(GOOD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://u:hidden@db/habits"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite://hidden.db"),
        ("DATABASE_URL", "postgresql:///habits"),
        ("DATABASE_URL", "postgresql://u:hidden@db:5432/"),
        ("DATABASE_URL", "postgresql://u:hidden@db:0/habits"),
        ("DATABASE_URL", "postgresql://u:hidden@db:port/habits"),
        ("DATABASE_URL", "postgresql://u:hid@den@db/habits"),
        ("DATABASE_URL", "postgresql://u:hid/den@db/habits"),
        ("DATABASE_URL", "postgresql://u:12/hidden@db/habits"),
        ("DATABASE_URL", "postgresql://u:12#hidden@db/habits"),
        ("DATABASE_URL", "postgresql://u:12?hidden@db/habits"),
        ("DATABASE_URL", "postgresql://u:hidden@db/habits?no_such_option=1"),
        ("JWT_SECRET", "hidden"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_ALGORITHM", "RS256"),
        ("GEMINI_API_KEY", "hidden\n"),
        ("GEMINI_API_KEY", "hidden key"),
    ],
)
def test_a_malformed_variable_is_named_in_one_line_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(GOOD | {name: value})
    message = str(refusal.value)
    assert message.startswith(f"`{name}` ")
    assert "\n" not in message
    for piece in ("hidden", "hid", "den@"):
        assert piece not in message


def test_a_longer_digest_needs_a_longer_secret() -> None:
    with pytest.raises(SettingsError, match="`JWT_SECRET` has 32 bytes, and 64"):
        load_settings(GOOD | {"JWT_ALGORITHM": "HS512"})


def test_settings_never_show_a_secret() -> None:
    shown = repr(load_settings(GOOD))
    assert not any(GOOD[name] in shown for name in ("DATABASE_URL", "JWT_SECRET", "GEMINI_API_KEY"))
