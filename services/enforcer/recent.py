"""The last decisions as they were answered, so that whoever has an id can ask why."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from services.core.decision import Decision

STRUCT_BYTES, LINE_BYTES, TAG_BYTES = 1_600, 540, 160
"""What a decision takes in memory, about: by itself, for each budget of its chain, and for each tag beside its text."""
ENTRY_BYTES = 320
"""What the table takes for one: its key, and the head of its value."""
PAGES: Final = 64
"""A page is forgotten at once: the more there are, the shorter that takes."""

_JSON: Final = b"{"
"""Begins every JSON object, and no map of msgpack."""
_encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Decision).decode
_unpack = msgspec.msgpack.Decoder(Decision).decode


class _Page:
    """Decisions that are forgotten together."""

    __slots__ = ("bytes", "kept")

    def __init__(self) -> None:
        self.kept: dict[str, bytes | Decision] = {}
        self.bytes = 0


class Recent:
    """Decisions by their ids, the oldest forgotten first, a page at a time.

    It keeps `most` of them, up to a page more or less, or fewer if they take `bytes_max`. Keeping one costs a check
    next to nothing: it is a reference to what was answered, JSON or msgpack, or to the decision where it was neither.
    """

    def __init__(self, most: int, bytes_max: int) -> None:
        self.most, self._bytes_max = most, bytes_max
        self._page_most, self._page_bytes_max = max(1, most // PAGES), bytes_max // PAGES
        self._page = _Page()
        self._full: deque[_Page] = deque()
        self._full_count = self._full_bytes = 0

    def __len__(self) -> int:
        return self._full_count + len(self._page.kept)

    def keep(self, decision: Decision, encoded: bytes | None = None) -> None:
        """Keep a decision; `encoded` is its JSON or its msgpack, if made already."""
        page = self._page
        page.kept[decision.decision] = kept = encoded or decision
        page.bytes += weight(kept)
        if len(page.kept) >= self._page_most or page.bytes > self._page_bytes_max:
            self._turn()

    def find(self, decision_id: str) -> tuple[str, bytes] | None:
        """Whose decision it was, and its JSON; None for one that is not kept any more, or was made elsewhere."""
        kept = self._kept(decision_id)
        if isinstance(kept, bytes) and not kept.startswith(_JSON):
            kept = _unpack(kept)
        if isinstance(kept, Decision):
            return kept.organization, _encode(kept)
        return None if kept is None else (_read(kept).organization, kept)

    def _kept(self, decision_id: str) -> bytes | Decision | None:
        pages = (self._page, *reversed(self._full))
        return next((page.kept[decision_id] for page in pages if decision_id in page.kept), None)

    def _turn(self) -> None:
        """Begin another page, and forget what is too much."""
        self._full.append(self._page)
        self._full_count += len(self._page.kept)
        self._full_bytes += self._page.bytes
        self._page = _Page()
        while self._full_count > self.most or self._full_bytes > self._bytes_max:
            oldest = self._full.popleft()
            self._full_count -= len(oldest.kept)
            self._full_bytes -= oldest.bytes


def weight(kept: bytes | Decision) -> int:
    """About how many bytes it takes in memory, rather too many than too few."""
    if isinstance(kept, bytes):
        return ENTRY_BYTES + len(kept)
    lines = len(kept.budgets) + sum(3 + len(attempt.budgets) for attempt in kept.tried)
    weighed = ENTRY_BYTES + STRUCT_BYTES + LINE_BYTES * lines
    return weighed + _tags_weight(kept.tags) if kept.tags else weighed


def _tags_weight(tags: dict[str, str]) -> int:
    """A character may take four bytes."""
    return TAG_BYTES * len(tags) + 4 * sum(len(key) + len(value) for key, value in tags.items())
