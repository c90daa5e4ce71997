"""The coach: one question to Gemini, one answer."""

import httpx

MODEL = "gemini-2.5-flash"
ENDPOINT = f"https://generativelanguage.googleapis.com/v1beta/models/{MODEL}:generateContent"
INSTRUCTION = (
    "You are a kind and practical habit coach. Answer in at most five sentences, "
    "with one concrete step that fits into today."
)
# Short enough for an answer under way to be finished when the server stops.
ANSWER_SECONDS = 12.0
# What a key that is malformed, unknown or without permission is answered with.
REFUSALS = (400, 401, 403)
MIN_KEY_LENGTH = 20
PLACEHOLDER_STARTS = ("test", "change", "placeholder", "example", "your", "replace", "dummy", "<")


class CoachUnavailableError(Exception):
    """The coach cannot answer now. The message is fit for the person who asked."""


def is_usable(key: str) -> bool:
    """Whether the key may be a real one, as opposed to an empty value or what a template holds in its place."""
    return len(key) >= MIN_KEY_LENGTH and not key.lower().startswith(PLACEHOLDER_STARTS)


class Coach:
    def __init__(self, key: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = (
            httpx.AsyncClient(transport=transport, timeout=ANSWER_SECONDS, headers={"x-goog-api-key": key})
            if is_usable(key)
            else None
        )

    async def answer(self, message: str) -> str:
        if self._client is None:
            raise CoachUnavailableError(
                "The coach is off: `GEMINI_API_KEY` is empty or a placeholder. "
                "Set a real key and restart the backend; everything else works without it."
            )
        body = {
            "systemInstruction": {"parts": [{"text": INSTRUCTION}]},
            "contents": [{"role": "user", "parts": [{"text": message}]}],
        }
        try:
            response = await self._client.post(ENDPOINT, json=body)
        except httpx.HTTPError as error:
            raise CoachUnavailableError(
                f"The coach does not answer: Gemini's API is not reachable ({type(error).__name__}). Try again later."
            ) from error
        if response.status_code in REFUSALS:
            raise CoachUnavailableError(
                f"The coach is off: Gemini's API refused `GEMINI_API_KEY` (status {response.status_code}). "
                "Check the key and restart the backend."
            )
        if response.status_code != httpx.codes.OK:
            raise CoachUnavailableError(
                f"The coach does not answer: Gemini's API returned status {response.status_code}. Try again later."
            )
        try:
            parts = response.json()["candidates"][0]["content"]["parts"]
            return "".join(part.get("text", "") for part in parts).strip()
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise CoachUnavailableError(
                "The coach does not answer: Gemini's API returned no text. Ask in other words."
            ) from error

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
