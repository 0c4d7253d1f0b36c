import ipaddress
import re
import unicodedata
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError


def validate_printer_address(value: str) -> None:
    """Accept an IPv4 or IPv6 address, or an http(s) URL with a host, and no user or password in it."""
    if has_user(value):
        # Not repeated: what stands before an @ may be a password, and addresses are shown.
        raise ValidationError(
            "A printer's address has no user and no password in it: leave out what stands before the @.", code="invalid"
        )
    if not (_is_ip_address(value) or _is_web_address(value)):
        raise ValidationError(
            "“%(value)s” is not a printer's address: enter an IP address such as 192.0.2.7 "
            "or a URL such as https://printer.example.com/octoprint.",
            code="invalid",
            params={"value": value},
        )


def _is_ip_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_web_address(value: str) -> bool:
    # urlsplit() drops tabs and line ends before it parses, and lets spaces through.
    if any(character.isspace() for character in value):
        return False
    try:
        parts = urlsplit(value)
        # Reading the port raises for one that is no number or too large.
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not is_shorthand(parts.hostname)
        )
    except ValueError:
        return False


def is_shorthand(host: str) -> bool:
    """Whether a host ends in a number, as no name does, and is not four of them, from 0 to 255 each.

    Such as 10.20.3, 2130706433 and 0x7f.1: some programs read an IP address into them, seldom the one that was meant.
    """
    labels = re.split("[.。]", unicodedata.normalize("NFKC", host).lower().rstrip(".。"))
    return bool(re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1])) and not _is_ip_address(".".join(labels))


def has_user(value: str) -> bool:
    """Whether something stands before an @ where the host of an address belongs."""
    rest = value.partition("://")[2] if "://" in value else value
    return "@" in re.split("[/?#]", rest, maxsplit=1)[0]


def validate_name(value: str) -> None:
    """Refuse what nobody could read or click: control characters, other lines, and nothing but invisible ones."""
    kinds = {unicodedata.category(character) for character in value}
    if "Cc" in kinds or not kinds - {"Cf", "Zs", "Zl", "Zp"}:
        raise ValidationError("A name is one line, with at least one character that can be seen.", code="invalid")
