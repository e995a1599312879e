"""What a replaying gateway has done so far: counts, latencies, and the requests that were admitted."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.cli.cast import Request

NANOSECONDS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of latencies, in milliseconds; zero when none was measured."""

    p50: float
    p99: float
    count: int


@dataclass(slots=True)
class Tally:
    """Filled by the gateway, read by whoever shows it.

    `admitted` has a request, with the model that it was given, once its usage was acknowledged. `last_refused` is the
    id of a decision.
    """

    planned: int
    sent: int = 0
    allowed: int = 0
    warned: int = 0
    fell_back: int = 0
    denied: int = 0
    throttled: int = 0
    reported: int = 0
    failed: int = 0
    retries: int = 0
    resent: int = 0
    spooled: int = 0
    rejected: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    last_refused: str | None = None
    failures: Counter[str] = field(default_factory=Counter)
    admitted: list[Request] = field(default_factory=list)
    check_ns: array[int] = field(default_factory=lambda: array("q"))
    fresh_ns: array[int] = field(default_factory=lambda: array("q"))

    @property
    def decided(self) -> int:
        """Requests that an enforcer has decided."""
        return self.allowed + self.denied + self.throttled

    @property
    def done(self) -> int:
        """Requests whose fate is known."""
        return len(self.admitted) + self.denied + self.throttled + self.failed + self.rejected


def percentiles(latencies_ns: Sequence[int]) -> Percentiles:
    """Median and 99th percentile by nearest rank: a value that was measured, not one in between."""
    ordered = sorted(latencies_ns)
    return Percentiles(_rank(ordered, 50), _rank(ordered, 99), len(ordered))


def _rank(ordered: Sequence[int], percent: int) -> float:
    if not ordered:
        return 0.0
    return round(ordered[max(0, -(-percent * len(ordered) // 100) - 1)] / NANOSECONDS_PER_MS, 3)
