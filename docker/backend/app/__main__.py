"""`python -m app`: checks the environment, waits for the database, then serves until it is told to stop."""

import logging
import os
import signal
import sys

import uvloop

from app.api import create_app
from app.coach import Coach
from app.database import DatabaseError, open_database
from app.server import serve
from app.settings import SettingsError, load_settings


async def run() -> int:
    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        return _cannot_start(f"{error}. Correct the environment and start again.")
    try:
        database = await open_database(settings.database_url)
    except DatabaseError as error:
        return _cannot_start(f"the database of `DATABASE_URL` cannot be used: {error}; check the URL and the server.")
    await serve(create_app(settings, database, Coach(settings.gemini_api_key)))
    return 0


def _cannot_start(reason: str) -> int:
    print(f"cannot start: {reason}", flush=True)
    return 1


def main() -> int:
    # The first process of a container ignores a signal that it has no handler for. The server sets its own later.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        return uvloop.run(run())
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
