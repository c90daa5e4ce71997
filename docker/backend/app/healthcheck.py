"""The image's health check: exit code 0 if `/health` answers well on this container's port."""

import sys
from urllib.request import urlopen

from app import PORT


def main() -> int:
    try:
        urlopen(f"http://127.0.0.1:{PORT}/health", timeout=4).close()
    except OSError as error:
        print(f"health check: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
