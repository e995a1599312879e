"""Tells who stands still beside a queue from who has nothing to do."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Stalls(Generic[Key]):
    """Watches positions; every look must be at all that are behind."""

    def __init__(self, patience_ms: int) -> None:
        self._patience_ms = patience_ms
        self._behind: dict[Key, tuple[int, int]] = {}

    def look(self, now_ms: int, behind: Mapping[Key, int]) -> Collection[Key]:
        """Which of those that are behind have been so, at the same position, at every look for too long a time."""
        before, self._behind = self._behind, {}
        for key, position in behind.items():
            known = before.get(key)
            since_ms = known[1] if known is not None and known[0] == position else now_ms
            self._behind[key] = position, since_ms
        return [key for key, (_, since_ms) in self._behind.items() if now_ms - since_ms >= self._patience_ms]
