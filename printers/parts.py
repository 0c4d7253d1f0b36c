"""The parts of a printer that have a temperature, as its server names them and as people do."""

WORDS = {"tool0": "Nozzle", "bed": "Bed", "chamber": "Chamber"}


def word_of(part: str) -> str:
    number = part.removeprefix("tool")
    return WORDS.get(part) or (f"Nozzle {int(number) + 1}" if number.isdecimal() else part)


def order_of(part: str) -> tuple[bool, str]:
    """Nozzles first, for the database keeps no order."""
    return not part.startswith("tool"), part
