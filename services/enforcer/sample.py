"""Which plain allows are published: a share of them, chosen by their ids alone."""

from __future__ import annotations

from typing import Final
from zlib import crc32

_HASHES: Final = 1 << 32


class Sample:
    """A share of all decisions, from 0 to 1."""

    def __init__(self, share: float) -> None:
        self._below = int(share * _HASHES)

    def has(self, decision_id: str) -> bool:
        """Whether a decision is in it."""
        return crc32(decision_id.encode()) < self._below
