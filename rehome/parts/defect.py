"""Defect: what is wrong with something that a move made or relies on, in a sentence, and its cure."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Defect:
    text: str
    cure: str = ""
    """A sentence; empty where `migrate` repairs it."""
