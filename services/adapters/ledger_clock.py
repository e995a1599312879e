"""The ledger's time. It is the broker's: this machine's own clock is used for as long as it agrees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.adapters import logs
from services.adapters.clock import now_ms, steady_ms
from services.core.balance import FUTURE_TOLERANCE_MS

PRECISE_MS: Final = 10_000
"""An acknowledgement that took longer says too little about when the record was appended."""

log = logs.logger(__name__)


class LedgerClock:
    """What time it is for the ledger, as its records tell, carried on between them by a clock that nobody sets.

    The ledger rejects usage that is more than five minutes ahead of it, and counts in other windows what is behind.
    When the machine's clock is off by more than that, the ledger's time is given instead, and an error is logged.
    """

    def __init__(self, *, own: Callable[[], int] = now_ms, steady: Callable[[], int] = steady_ms) -> None:
        self._own, self._steady = own, steady
        self._ledger_minus_steady: int | None = None
        self._exact = self._off = False

    def now_ms(self) -> int:
        """UTC milliseconds."""
        own = self._own()
        if self._ledger_minus_steady is None:
            return own
        ledger = self._steady() + self._ledger_minus_steady
        return own if abs(own - ledger) <= FUTURE_TOLERANCE_MS else ledger

    def ahead_ms(self) -> int:
        """How far the machine's clock is ahead of the ledger's (behind: below zero); 0 while that is not known."""
        if self._ledger_minus_steady is None:
            return 0
        return self._own() - self._steady() - self._ledger_minus_steady

    def begin(self) -> int:
        """What `appended` is to be given of a record that is sent now."""
        return self._steady()

    def appended(self, begun: int, at_ms: int) -> None:
        """A record sent at `begun` was acknowledged just now; the ledger says that it was appended at `at_ms`."""
        ended = self._steady()
        if ended - begun <= PRECISE_MS:
            self._exact = True
            self._set(at_ms - (begun + ended) // 2)

    def reached(self, at_ms: int) -> None:
        """The ledger's clock is seen to stand at `at_ms` or later; `appended` tells better, once it has."""
        if not self._exact and at_ms > self.now_ms() + FUTURE_TOLERANCE_MS:
            self._set(at_ms - self._steady())

    def _set(self, ledger_minus_steady: int) -> None:
        self._ledger_minus_steady = ledger_minus_steady
        ahead_ms = self.ahead_ms()
        off = abs(ahead_ms) > FUTURE_TOLERANCE_MS
        if off and not self._off:
            log.error(
                "this machine's clock is off, the ledger's time is used: synchronise it (NTP)", ahead_s=ahead_ms / 1000
            )
        elif self._off and not off:
            log.info("this machine's clock agrees with the ledger's again")
        self._off = off
