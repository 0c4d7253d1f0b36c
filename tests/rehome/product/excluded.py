"""The cells that are left out, each with its reason."""

import dataclasses
import re

from tests.rehome.product.damages import DAMAGES

OF_CODE = (
    "gone from the code|app gone|apps gone|rehome gone|label without|unknown field|migration of the move gone|none"
)


@dataclasses.dataclass(frozen=True)
class Excluded:
    """Patterns of commands, phases and damages; each matches from the beginning."""

    command: str
    phase: str
    damage: str
    reason: str

    def has(self, command: str, phase: str, damage: str) -> bool:
        patterns = (self.command, command), (self.phase, phase), (self.damage, damage)
        return all(re.match(pattern, text) for pattern, text in patterns)


EXCLUDED = (
    Excluded("makemove", "", f"(?!.*({OF_CODE}))", "makemove reads the migrations' files and no database."),
    Excluded("makemove", "(?!never run)", "", "It would say the same in every phase."),
    Excluded(
        "migrate (?!.*--plan)",
        "",
        "(content types|permissions|users) dropped|schema dropped",
        "Django's own handlers of post_migrate fail, once the migration is done and recorded.",
    ),
    Excluded(
        "(show|sql|verify|retire|end|rehearse)moves?|checkschema|moveready|(check|restore)?backup"
        "|migrate .*--(discard-data|require-backup)",
        "",
        "rehome gone",
        "Without the app Django knows none of its commands and options, and says so.",
    ),
    Excluded(
        "migrate (?!.*--plan)",
        "",
        "migrations (dropped|emptied|out of order)",
        "Django begins with the first migration, and says so.",
    ),
    Excluded(
        "migrate shop zero",
        "never run|moved|back",
        "lock held on (the (source|target)|a row)",
        "Django's own DROP TABLE waits for as long as the lock is held.",
    ),
)


def why_excluded(command: str, phase: str, damage: str) -> str:
    """Empty for a cell that is tried."""
    if DAMAGES[damage].only and phase not in DAMAGES[damage].only:
        return "In this phase there is nothing to damage."
    return next((one.reason for one in EXCLUDED if one.has(command, phase, damage)), "")
