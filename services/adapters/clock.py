"""The only place where the project reads the machine's clock; everything else is given the time."""

from __future__ import annotations

import time


def now_ms() -> int:
    """UTC milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Where there is one, a clock that goes on while the machine is suspended."""


def steady_ms() -> int:
    """Milliseconds of a clock that nobody sets, to carry on what another clock said."""
    return time.clock_gettime_ns(_STEADY) // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds of a clock that never goes back, for durations and deadlines inside one process."""
    return time.monotonic_ns() // 1_000_000
