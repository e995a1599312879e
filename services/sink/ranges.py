"""A range of one partition: what an insert is made of, and how the offset commit announces and remembers it."""

from __future__ import annotations

import re
from dataclasses import dataclass

PENDING = re.compile(r"pending:(\d+)")
NOTHING_PENDING = ""


@dataclass(frozen=True, slots=True)
class Range:
    """Everything committed to a partition between two offsets, both included.

    `first` is where the previous range ended, whether or not a record stands there: markers of transactions take
    offsets too. `last` is the offset of a record. What lies between never changes once `last` has been read.
    """

    topic: str
    partition: int
    first: int
    last: int

    @property
    def token(self) -> str:
        """Names the insert: ClickHouse drops the second one of the same name."""
        return f"{self.topic}-{self.partition}-{self.first}-{self.last}"

    @property
    def announcement(self) -> str:
        """Commit metadata, beside the offset `first`: an insert up to `last` may be under way."""
        return f"pending:{self.last}"

    @property
    def after(self) -> int:
        """The offset to commit once the range is stored."""
        return self.last + 1


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What the consumer group remembers of a partition. `offset` None: it has never committed anything."""

    offset: int | None
    pending: int | None = None

    @property
    def known(self) -> int:
        """The offset up to which the partition was read at least once."""
        return (self.offset or 0) if self.pending is None else self.pending + 1

    @classmethod
    def read(cls, offset: int, metadata: str) -> Bookmark:
        """From a committed offset (-1 for none) and its metadata."""
        match = PENDING.fullmatch(metadata)
        return cls(None if offset < 0 else offset, None if match is None else int(match[1]))
