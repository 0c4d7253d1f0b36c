"""What a backup says of itself: written from the dump's own snapshot, and stored after everything else."""

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rehome.errors import BackupFailed
from rehome.ops.fingerprints import Fingerprint
from rehome.ops.properties import Properties

FORMAT = 1
"""Of the manifests that this version writes and reads."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Of one backup."""

    name: str
    """Of the archive in the storage; the manifest has the same, with another ending."""
    database: str
    system_identifier: str
    """Of the server, which its standbys share."""
    host: str
    server_version: int
    client: int
    """The major of the pg_dump that wrote the archive."""
    taken_at: datetime.datetime
    """The moment of its snapshot: what was committed later is not in it."""
    seconds: float
    """How long it took until the archive was stored."""
    size: int
    sha256: str
    database_size: int
    moves: Mapping[str, str]
    """The phase of each move's last run."""
    properties: Properties
    fingerprint: Fingerprint
    database_oid: int = 0
    """Another one has the same name after it was swapped or made anew."""
    sha256_of_text: str = dataclasses.field(default="", compare=False)
    """Of the very text that it was read from; empty of one that was not stored yet. Not part of it."""

    @property
    def server_major(self) -> int:
        return self.server_version // 10_000

    @property
    def digest(self) -> str:
        """By which a proof knows it."""
        return self.sha256_of_text or hashlib.sha256(self.as_json().encode()).hexdigest()

    def as_json(self) -> str:
        data = {"format": FORMAT, **dataclasses.asdict(self), "taken_at": self.taken_at.isoformat()}
        del data["sha256_of_text"]
        return json.dumps(data, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, name: str) -> "Manifest":
        """Raises BackupFailed for what no version of rehome has written, or only a later one."""
        try:
            data: dict[str, Any] = json.loads(text)
            known = data.pop("format")
            if known != FORMAT:
                raise BackupFailed(
                    f"The manifest of {name} has format {known!r}, and this version of rehome reads {FORMAT}. Use the "
                    "version that wrote it."
                )
            data["taken_at"] = datetime.datetime.fromisoformat(data["taken_at"])
            data["properties"] = Properties.from_json(data["properties"])
            data["fingerprint"] = Fingerprint.from_json(data["fingerprint"])
            data["sha256_of_text"] = hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
            return cls(**data)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BackupFailed(f"The manifest of {name} can't be read, so it is no backup.") from error


@dataclasses.dataclass(frozen=True)
class Proof:
    """That a backup was restored and compared; stored beside it."""

    name: str
    """Of the archive."""
    sha256: str
    proved_at: datetime.datetime
    server_version: int
    restore_seconds: float
    compare_seconds: float
    differences: tuple[str, ...]
    """Empty where it is a proof."""
    manifest_sha256: str = ""
    """Of the text of the manifest with which it was compared."""

    @classmethod
    def failed(cls, manifest: Manifest, why: str) -> "Proof":
        """That it can't be restored at all."""
        now = datetime.datetime.now(datetime.UTC)
        return cls(manifest.name, manifest.sha256, now, 0, 0.0, 0.0, (why,), manifest.digest)

    @property
    def ok(self) -> bool:
        return not self.differences

    @property
    def verdict(self) -> tuple[object, ...]:
        """What it says, and of what."""
        return self.name, self.sha256, self.manifest_sha256, self.differences

    def as_json(self) -> str:
        data = {"format": FORMAT, **dataclasses.asdict(self), "proved_at": self.proved_at.isoformat()}
        return json.dumps(data, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Proof | None":
        """None for what can't be read: a backup without a proof can be proved again."""
        try:
            data = json.loads(text)
            if data.pop("format") != FORMAT:
                return None
            data["proved_at"] = datetime.datetime.fromisoformat(data["proved_at"])
            data["differences"] = tuple(data["differences"])
            return cls(**data)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
