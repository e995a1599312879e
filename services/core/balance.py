"""What a balance holds, how long it is kept, and the five tables that hold balances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from services.core.escrow import Share
from services.core.events import to_ms
from services.core.scope import Level, level_of
from services.core.window import WindowKind, window_of_label

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HORIZON_MS = 48 * HOUR_MS
"""De-duplication horizon: usage older than this, by the ledger's clock, is rejected rather than counted unsafely."""
CARRY_AFTER_MS = 15 * 60_000
"""How long after its end a window is taken to have settled: reservations of it have been charged by then."""
FUTURE_TOLERANCE_MS = 5 * 60_000
"""How far ahead of the ledger's clock a usage may claim to be."""

_UTC = ZoneInfo("UTC")
_CLOCK_MS = {WindowKind.MINUTE: 60_000, WindowKind.HOUR: HOUR_MS}
# Kept past the end of the window, for longer than any event can still change it: a settlement may come a horizon after
# an expiry that came a horizon after its reservation, and dates are read in another time zone than their own.
_KEPT_MS = {
    WindowKind.MINUTE: 5 * DAY_MS,
    WindowKind.HOUR: 5 * DAY_MS,
    WindowKind.DAY: 40 * DAY_MS,
    WindowKind.WEEK: 100 * DAY_MS,
}


class Balance(Struct, kw_only=True, gc=False, omit_defaults=True):
    """The counter of one scope in one window, in nano-dollars.

    `settled_nanousd` includes `unconfirmed_nanousd` (expired reservations, at their estimates). `unpriced` counts the
    requests whose cost nobody knows yet: the true sum is at least `settled_nanousd`. `offset` is the ledger offset that
    last changed it; it only grows. `fired` names the alerts already raised, as `budget:basis points`.

    `shares` are what enforcers may spend on their own below a hard limit (see `escrow`), by enforcer; `limit_nanousd`
    is that limit as it was last looked at; `grace_from_ms` is when, by the ledger's clock, grace was opened in this
    window, 0 if it never was.
    """

    settled_nanousd: int = 0
    requests: int = 0
    unconfirmed_nanousd: int = 0
    unpriced: int = 0
    offset: int = -1
    fired: tuple[str, ...] = ()
    shares: dict[str, Share] = {}
    limit_nanousd: int | None = None
    grace_from_ms: int = 0


@lru_cache(maxsize=65_536)
def removed_at_ms(window_label: str) -> int | None:
    """When, by the ledger's clock, balances of a window leave the tables; None for those kept for good.

    A function of the label alone, so that it is the same before and after any policy change: dates are read as UTC,
    hours and minutes say their own offset from it.
    """
    name, _, period = window_label.partition(":")
    kept_ms = _KEPT_MS.get(WindowKind(name))
    if kept_ms is None:
        return None
    clock_ms = _CLOCK_MS.get(WindowKind(name))
    if clock_ms is not None:
        return to_ms(datetime.fromisoformat(period)) + clock_ms + kept_ms
    end_ms = window_of_label(window_label, _UTC).end_ms
    assert end_ms is not None, "a window that is not kept for good ends"
    return end_ms + kept_ms


def is_kept(window_label: str, clock_ms: int) -> bool:
    """Whether balances of a window are still in the tables by the ledger's clock."""
    at_ms = removed_at_ms(window_label)
    return at_ms is None or at_ms > clock_ms


def split_key(key: str) -> tuple[str, str]:
    """A balance key `scope@window` as its scope and its window label."""
    scope, _, label = key.rpartition("@")
    return scope, label


class Tables:
    """Balances of one ledger partition by level, and which of them leave at what hour."""

    def __init__(self) -> None:
        self._by_level: dict[Level, dict[str, Balance]] = {level: {} for level in Level}
        self._leaving: defaultdict[int, list[str]] = defaultdict(list)
        self._swept_hour = -1

    def __getitem__(self, level: Level) -> dict[str, Balance]:
        return self._by_level[level]

    def __len__(self) -> int:
        return sum(map(len, self._by_level.values()))

    def items(self) -> Iterator[tuple[str, Balance]]:
        """Every key and balance, level by level."""
        for table in self._by_level.values():
            yield from table.items()

    def open(self, level: Level, key: str) -> Balance:
        """The balance of `key`, a new one at zero if there is none."""
        table = self._by_level[level]
        balance = table.get(key)
        if balance is None:
            balance = table[key] = Balance()
            self._plan_removal(key)
        return balance

    def put(self, key: str, balance: Balance | None) -> None:
        """Restore one changelog entry: the newer value replaces the older, None removes it."""
        table = self._by_level[level_of(split_key(key)[0])]
        if balance is None:
            table.pop(key, None)
            return
        if key not in table:
            self._plan_removal(key)
        table[key] = balance

    def sweep(self, clock_ms: int) -> list[str]:
        """Remove what has been kept long enough; at most one pass an hour of the ledger's clock. The removed keys."""
        hour = clock_ms // HOUR_MS
        if hour == self._swept_hour:
            return []
        self._swept_hour = hour
        return [
            key
            for due in sorted(due for due in self._leaving if due <= hour)
            for key in self._leaving.pop(due)
            if self._by_level[level_of(split_key(key)[0])].pop(key, None) is not None
        ]

    def _plan_removal(self, key: str) -> None:
        at_ms = removed_at_ms(split_key(key)[1])
        if at_ms is not None:
            self._leaving[-(-at_ms // HOUR_MS)].append(key)
