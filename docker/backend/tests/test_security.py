import asyncio
from datetime import UTC, datetime, timedelta

import jwt

from app.security import PasswordHasher, TokenIssuer

SECRET = "test-only-secret-of-thirty-two-bytes"


def test_a_hash_fits_its_password_only(runner: asyncio.Runner) -> None:
    passwords = PasswordHasher()
    first, second = (runner.run(passwords.hash("pässword")) for _ in range(2))
    assert first != second
    assert "pässword" not in first
    assert runner.run(passwords.matches("pässword", first))
    assert not runner.run(passwords.matches("password", first))
    assert not runner.run(passwords.matches("pässword", None))


def test_a_hash_made_at_another_cost_stays_valid(runner: asyncio.Runner) -> None:
    made_at_2_to_the_4 = (
        "scrypt$4$8$1$00112233445566778899aabbccddeeff$"
        "28d9ffd610399ed028e8a2af2513e6497cbe7a64cbba3d87f47466027e8a4304"
        "487dffc44e6fea9e629ca5e2d39faa36cebf70b4840bfe2b2c98297932e22554"
    )
    assert runner.run(PasswordHasher().matches("old password", made_at_2_to_the_4))


def test_a_token_tells_its_user() -> None:
    tokens = TokenIssuer(SECRET, "HS256")
    assert tokens.user_of(tokens.issue("ada")) == "ada"


def test_tokens_that_are_not_ours_or_not_current_tell_nobody() -> None:
    tokens = TokenIssuer(SECRET, "HS256")
    later, past = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(seconds=1)
    for token in (
        TokenIssuer(SECRET[::-1], "HS256").issue("ada"),
        jwt.encode({"sub": "ada", "exp": later}, SECRET * 2, "HS512"),
        jwt.encode({"sub": "ada", "exp": later}, None, "none"),
        jwt.encode({"sub": "ada", "exp": past}, SECRET, "HS256"),
        jwt.encode({"sub": "ada"}, SECRET, "HS256"),
        jwt.encode({"exp": later}, SECRET, "HS256"),
        "",
    ):
        assert tokens.user_of(token) is None
