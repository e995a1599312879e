"""Looks through all wants, a few at a time: claims before a share runs out, and gives back what lies idle. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.core.balance import split_key
from services.core.headroom import excess, is_low, recent
from services.core.window import window_at
from services.enforcer.standings import Standings
from services.enforcer.wants import Want, Wants, taken

AGAIN_MS: Final = 1_000
"""What was not answered, or not met, is said again after this."""
PATIENCE_MS: Final = 5_000
"""What is not met for this long is wanted no longer: the next request asks again."""
AHEAD_MS: Final = 30_000
"""Before a window ends, shares of the next are claimed for what was active lately."""


class Review:
    """Goes round and round; `step` looks at the next few."""

    def __init__(self, wants: Wants, standings: Standings) -> None:
        self._wants, self._standings = wants, standings
        self._round: Iterator[Want] = iter(())

    def begin(self) -> int:
        """Begin another round; how many there are to look at."""
        self._round = iter(list(self._wants.known.values()))
        return len(self._wants.known)

    def step(self, count: int, now_ms: int, steady_ms: int) -> bool:
        """Look at the next few; False when the round is over."""
        for _ in range(count):
            want = next(self._round, None)
            if want is None:
                return False
            if self._is_over(want, now_ms):
                self._wants.known.pop(want.key, None)
            else:
                self._look_at(want, now_ms, steady_ms)
        return True

    def _is_over(self, want: Want, now_ms: int) -> bool:
        """Whether nothing more comes of it: the window has ended, or the standing is another one now."""
        if self._standings.find(want.key) is not want.standing:
            return True
        ends_ms = None if want.guard is None else want.guard.window.end_ms
        return ends_ms is not None and now_ms > ends_ms and want.standing.idle and not want.waiting_nanousd

    def _look_at(self, want: Want, now_ms: int, steady_ms: int) -> None:
        headroom = self._wants.headroom(want, now_ms, steady_ms)
        self._measure(want, steady_ms)
        if want.guard is None:
            return  # the ledger would not answer
        if not want.is_heard:
            if self._is_time(want, steady_ms):
                self._wants.say_of(want)
            return
        if want.is_unmet:
            self._insist(want, steady_ms)
        self._size(want, headroom, steady_ms)
        self._look_ahead(want, now_ms, steady_ms)

    def _measure(self, want: Want, steady_ms: int) -> None:
        elapsed_ms = steady_ms - want.measured_ms
        if elapsed_ms < AGAIN_MS:
            return
        so_far = taken(want.standing)
        lately = recent(so_far - want.taken_nanousd, elapsed_ms)
        # Up at once, down slowly: a pause is no reason to give everything back.
        want.recent_nanousd = max(lately, (3 * want.recent_nanousd + lately) // 4)
        want.taken_nanousd, want.measured_ms = so_far, steady_ms

    def _insist(self, want: Want, steady_ms: int) -> None:
        if steady_ms - want.raised_ms > PATIENCE_MS and not want.waiting_nanousd:
            self._wants.take_back(want)
        elif self._is_time(want, steady_ms):
            self._wants.say_of(want)

    def _is_time(self, want: Want, steady_ms: int) -> bool:
        return steady_ms - want.said_ms >= AGAIN_MS

    def _size(self, want: Want, headroom: int, steady_ms: int) -> None:
        standing = want.standing
        if want.waiting_nanousd:
            return
        if standing.recalled:
            self._wants.give_back(want, standing.share_nanousd)
        elif want.recent_nanousd and not want.is_unmet and is_low(standing.share_nanousd, headroom):
            self._wants.raise_to(want, headroom, steady_ms)
        else:
            self._wants.give_back(want, excess(standing.share_nanousd, headroom))

    def _look_ahead(self, want: Want, now_ms: int, steady_ms: int) -> None:
        """Claim the same of the next window, so that nobody has to wait when all windows turn at once."""
        window = None if want.guard is None else want.guard.window
        if window is None or window.end_ms is None or want.ahead or not want.recent_nanousd:
            return
        if not 0 < window.end_ms - now_ms <= AHEAD_MS:
            return
        want.ahead = True
        scope, _ = split_key(want.key)
        key = f"{scope}@{window_at(window.kind, window.end_ms, want.policy.zone).label}"
        ahead = self._wants.open(want.organization, want.partition, key, self._standings.open(key), steady_ms)
        ahead.recent_nanousd = want.recent_nanousd
        self._wants.raise_to(ahead, self._wants.headroom(ahead, now_ms, steady_ms), steady_ms)
