"""Password hashes and access tokens."""

import asyncio
import hashlib
import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import jwt

TOKEN_LIFETIME = timedelta(hours=12)

# About 50 ms and 16 MiB for each hash: what half a core can bear when many people log in at once. The cost is kept in
# every hash, so raising it leaves the old ones valid.
SCRYPT_LOG2_N, SCRYPT_R, SCRYPT_P = 14, 8, 1


class PasswordHasher:
    """scrypt in one thread of its own: it leaves the event loop free, and a rush of log-ins queues here."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scrypt")
        # Checked when the account does not exist, so that the answer takes as long as for one that does.
        self._nobody = _hash(secrets.token_hex(16))

    async def hash(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _hash, password)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        matched = await asyncio.get_running_loop().run_in_executor(
            self._thread, _matches, password, password_hash or self._nobody
        )
        return matched and password_hash is not None

    def close(self) -> None:
        self._thread.shutdown()


def _scrypt(password: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    # OpenSSL needs 128 * r * (N + p + 2) bytes and refuses more than 32 MiB unless told otherwise.
    n = 1 << log2_n
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * r * (n + p + 2))


def _hash(password: str) -> str:
    salt = secrets.token_bytes(16)
    key = _scrypt(password, salt, SCRYPT_LOG2_N, SCRYPT_R, SCRYPT_P)
    return f"scrypt${SCRYPT_LOG2_N}${SCRYPT_R}${SCRYPT_P}${salt.hex()}${key.hex()}"


def _matches(password: str, password_hash: str) -> bool:
    _, log2_n, r, p, salt, key = password_hash.split("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt), int(log2_n), int(r), int(p)), bytes.fromhex(key))


class TokenIssuer:
    def __init__(self, secret: str, algorithm: str) -> None:
        self._secret = secret
        self._algorithm = algorithm

    def issue(self, user_id: str) -> str:
        claims = {"sub": user_id, "exp": datetime.now(UTC) + TOKEN_LIFETIME}
        return jwt.encode(claims, self._secret, self._algorithm)

    def user_of(self, token: str) -> str | None:
        """The user that the token was issued to, or nobody if it is forged, expired or not a token."""
        try:
            claims = jwt.decode(token, self._secret, [self._algorithm], options={"require": ["sub", "exp"]})
        except jwt.InvalidTokenError:
            return None
        return str(claims["sub"])
