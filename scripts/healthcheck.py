"""Asks the web server of this container whether it is ready, for Docker: exit code 0, or 1 and what is missing."""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 9


def main() -> int:
    try:
        with urllib.request.urlopen(request(), timeout=TIMEOUT_S) as answer:  # noqa: S310
            print(answer.read().decode())
            return 0
    except urllib.error.HTTPError as error:
        print(f"{error.code}: {error.read(2000).decode(errors='replace')}")
    except OSError as error:
        print(f"The web server does not answer: {error}")
    return 1


def request() -> urllib.request.Request:
    """By a name that the portal is reached by, since it answers to no other."""
    name = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".")
    headers = {"Host": name} if name.strip("*") else {}
    port = os.environ.get("WEB_PORT", "8000")
    return urllib.request.Request(f"http://127.0.0.1:{port}/readyz", headers=headers)  # noqa: S310


if __name__ == "__main__":
    sys.exit(main())
