"""What a browser does, for smoke.py: pages, cookies, forms and files, at an address that may be behind a proxy."""

import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http.request import validate_host

TIMEOUT_S = 30


class Wrong(Exception):
    """What is not as it should be, in a sentence."""


class Answer:
    def __init__(self, found: Any) -> None:
        self.status: int = found.status
        self.headers = found.headers
        self.path: str = urlsplit(found.url).path
        self.text: str = found.read().decode(errors="replace")

    def find(self, pattern: str, what: str) -> str:
        """The first group of what stands there."""
        if not (found := re.search(pattern, self.text)):
            raise Wrong(f"{self.path} has no {what}.")
        return found[1]


class Visitor:
    """One browser. By http:// it asks as the proxy would that ends TLS, where the settings say that there is one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Wrong(f"{url!r} is not an address such as https://farm.example.com.")
        self.base = f"{parts.scheme}://{parts.netloc}"
        host = host_for(parts.hostname, parts.netloc)
        secure = settings.SECURE_SSL_REDIRECT
        self.headers = {"Host": host, "Referer": f"http{'s' if secure else ''}://{host}/", "User-Agent": "smoke"}
        if secure and parts.scheme == "http":
            self.headers["X-Forwarded-Proto"] = "https"
        # Its own machine is asked without TLS, and gets cookies all the same.
        jar = CookieJar(DefaultCookiePolicy(secure_protocols=("https", "http")))
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask(path, None, headers)

    def post(self, path: str, fields: Mapping[str, str]) -> Answer:
        return self.ask(path, urlencode(fields).encode(), {})

    def upload(self, path: str, fields: Mapping[str, str], name: str, content: str) -> Answer:
        """A form with one file."""
        boundary = secrets.token_hex(16)
        parts = [f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in fields.items()]
        disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/csv'
        body = "".join(f"--{boundary}\r\n{part}\r\n" for part in [*parts, f"{disposition}\r\n\r\n{content}"])
        kind = f"multipart/form-data; boundary={boundary}"
        return self.ask(path, f"{body}--{boundary}--\r\n".encode(), {"Content-Type": kind})

    def ask(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Follows where it is led. Raises Wrong where nobody answers."""
        request = urllib.request.Request(self.base + path, body, {**self.headers, **headers})  # noqa: S310
        try:
            with self.opener.open(request, timeout=TIMEOUT_S) as found:
                return Answer(found)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error)
        except (OSError, HTTPException) as error:
            raise Wrong(f"{self.base} does not answer: {error}.") from None


def host_for(name: str, address: str) -> str:
    """The name that is asked for: the one in the address where the portal is reached by it, else its first one."""
    allowed = settings.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
    return address if validate_host(name, allowed) else allowed[0].lstrip(".")
