"""What a run of an import has done, for people and as JSON."""

import dataclasses
from typing import Any

from rehome.importing.merging import Counts
from rehome.verify import Comparison


@dataclasses.dataclass(frozen=True)
class ImportReport:
    name: str
    counts: Counts
    comparison: Comparison
    seconds: float

    def as_json(self) -> dict[str, Any]:
        counts = dataclasses.asdict(self.counts)
        gone_keys = list(counts.pop("gone_keys"))
        return {
            "import": self.name,
            **counts,
            "unchanged": self.counts.unchanged,
            "gone_keys": gone_keys,
            "seconds": round(self.seconds, 3),
        }
