"""What a run of an import has done, for people and as JSON."""

import dataclasses
from typing import Any

from rehome.importing.merging import Counts
from rehome.verify.comparison import Comparison


@dataclasses.dataclass(frozen=True)
class ImportReport:
    name: str
    counts: Counts
    comparison: Comparison
    seconds: float
    whole: bool = True
    """Whether every row of the source was read, so that it is known which are gone."""

    def as_json(self) -> dict[str, Any]:
        return {
            "import": self.name,
            **dataclasses.asdict(self.counts),
            "gone_keys": list(self.counts.gone_keys),
            "unchanged": self.counts.unchanged,
            "whole": self.whole,
            "seconds": round(self.seconds, 3),
        }
