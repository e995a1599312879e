"""The escrow: a hard limit is cut into shares, so that each enforcer may spend its own without asking anybody.

For each enforcer a balance keeps running totals: what was granted to it (G), what it gave back (R), what was settled
through its reservations (U), and up to what it wants to be granted (W). Its share is G - R - U. After every grant

    settled + the sum of max(0, G - R - U) over all enforcers <= the hard limit

so whatever enforcers do with their shares, the limit holds. Totals make claims safe to lose, repeat, delay and reorder.
Who does not wait any more takes back its wish, down to what it was granted: else others would be recalled for nothing.
The rights that enforcers trade are those of escrow transactions (O'Neil 1986) and of bounded counters (Balegas 2015).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

ENFORCER_KEY: Final = "#enforcer:"
"""Begins the key of an enforcer's entry in the balances changelog; never a balance's, which all begin with a scope."""


class Share(Struct, array_like=True, gc=False):
    """One enforcer's part in a balance, as running totals in nano-dollars. `beat` numbers the last claim applied."""

    granted_nanousd: int = 0
    released_nanousd: int = 0
    used_nanousd: int = 0
    wanted_nanousd: int = 0
    beat: int = 0

    @property
    def outstanding_nanousd(self) -> int:
        """What the enforcer may still spend."""
        return max(0, self.granted_nanousd - self.released_nanousd - self.used_nanousd)

    @property
    def overdrawn_nanousd(self) -> int:
        """What was spent beyond the share."""
        return max(0, self.released_nanousd + self.used_nanousd - self.granted_nanousd)

    @property
    def unmet_nanousd(self) -> int:
        """What is wanted and not granted."""
        return max(0, self.wanted_nanousd - self.granted_nanousd)

    def claim(self, wanted_nanousd: int, released_nanousd: int, beat: int) -> None:
        """Take note of a claim. One that comes late or twice changes nothing: the later of two wishes holds."""
        if beat >= self.beat:
            self.wanted_nanousd, self.beat = wanted_nanousd, beat
        # Nobody can give back what was never granted.
        self.released_nanousd = max(self.released_nanousd, min(released_nanousd, self.granted_nanousd))

    def grant(self, free_nanousd: int) -> None:
        """Grant what is unmet, as far as there is room. What was overdrawn is settled already, and takes none."""
        reachable = self.granted_nanousd + self.overdrawn_nanousd + max(0, free_nanousd)
        self.granted_nanousd = max(self.granted_nanousd, min(self.wanted_nanousd, reachable))

    def use(self, difference_nanousd: int) -> int:
        """Count what was settled through the enforcer's reservations (of either sign); what is overdrawn since."""
        before = self.overdrawn_nanousd
        self.used_nanousd += difference_nanousd
        return max(0, self.overdrawn_nanousd - before)


class Registered(Struct, kw_only=True, gc=False):
    """An enforcer as the ledger knows it. `beat`: the last it said; `alive_at_ms`: when, by the ledger's clock.

    Silent for longer than `reclaim_after_ms`, or forgotten, it is `reclaimed`: its shares are gone for good.
    """

    beat: int
    alive_at_ms: int
    reclaim_after_ms: int | None = None
    reclaimed: bool = False

    def hear(self, beat: int, clock_ms: int) -> None:
        """The enforcer has said something."""
        self.beat = max(self.beat, beat)
        self.alive_at_ms = clock_ms

    def overdue(self, clock_ms: int) -> bool:
        """Whether it has been silent for so long that its shares are to be given to others."""
        if self.reclaimed or self.reclaim_after_ms is None:
            return False
        return clock_ms - self.alive_at_ms > self.reclaim_after_ms


def outstanding(shares: Iterable[Share]) -> int:
    """What enforcers may still spend, all together."""
    return sum([share.outstanding_nanousd for share in shares])


def room(limit_nanousd: int, settled_nanousd: int, shares: Mapping[str, Share]) -> int:
    """What may still be granted; negative when a limit has shrunk below what is settled and granted."""
    return limit_nanousd - settled_nanousd - outstanding(shares.values())


def grant(limit_nanousd: int, settled_nanousd: int, shares: Mapping[str, Share], claimant: str) -> None:
    """Grant what there is room for: to the claimant first, then to those who wait, the smallest shortage first."""
    if shares[claimant].unmet_nanousd:
        shares[claimant].grant(room(limit_nanousd, settled_nanousd, shares))
    share_out(limit_nanousd, settled_nanousd, shares)


def share_out(limit_nanousd: int, settled_nanousd: int, shares: Mapping[str, Share]) -> None:
    """Grant what there is room for to those who wait, the smallest shortage first."""
    for _, name in sorted((share.unmet_nanousd, name) for name, share in shares.items()):
        if shares[name].unmet_nanousd:
            shares[name].grant(room(limit_nanousd, settled_nanousd, shares))
