"""Pacing: what is left of a budget, spread over what is left of its window, so that it lasts to the end.

The generic cell rate algorithm in its virtual scheduling form (ITU-T I.371, annex A), over money instead of cells: the
whole state is one instant, by which the pace will have earned all that was let through. A request adds the time that
the pace takes to earn it, and conforms while that instant is no further ahead than the burst.

Instants and intervals are whole microseconds, so that many small requests lose nothing to rounding; waits are whole
milliseconds, rounded up. Nothing here is a float.
"""

from __future__ import annotations

from typing import Final, NamedTuple

BURST_MS: Final = 60_000
"""How far ahead of the pace spending may run: by what one minute earns, or by one request that costs more."""

_US: Final = 1_000


class Pace(NamedTuple):
    """The room below the hard tier, in nano-dollars, and the time that it must last; `enforcers` share it evenly."""

    room_nanousd: int
    left_ms: int
    enforcers: int = 1


def interval_us(amount_nanousd: int, pace: Pace) -> int:
    """How long the pace takes to earn an amount, which must fit in the room; rounded up, so never too short."""
    if not amount_nanousd:
        return 0
    return -(-amount_nanousd * pace.left_ms * _US * pace.enforcers // pace.room_nanousd)


def wait_ms(paced_until_us: int, interval_us: int, now_ms: int) -> int:
    """How long a request must wait that takes this interval; 0 when it conforms."""
    ahead_us = max(0, BURST_MS * _US - interval_us)
    return max(0, -((ahead_us + now_ms * _US - paced_until_us) // _US))


def advance(paced_until_us: int, interval_us: int, now_ms: int) -> int:
    """The instant that is the state once a request has been let through."""
    return max(paced_until_us, now_ms * _US) + interval_us


def unused_us(interval_us: int, estimate_nanousd: int, cost_nanousd: int) -> int:
    """The part of a request's interval that it did not need: what is given back once its cost is known."""
    unspent = max(0, estimate_nanousd - cost_nanousd)
    return interval_us * unspent // estimate_nanousd if unspent else 0
