"""Faults planted on purpose: a simulator that does not find them proves nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from services.core import apply_carry, apply_move, escrow
from services.core.escrow import Share
from services.core.guard import Guard
from services.core.standing import Standing
from services.enforcer.lease import Leases
from services.enforcer.wants import Want, Wants


@dataclass(frozen=True, slots=True)
class Faults:
    """What is broken in a run, in the world around the code; nothing by default."""

    no_fence: bool = False
    """A worker that has lost its partition can still commit."""

    position_late: bool = False
    """The position is written one transaction after the balances that it belongs to."""

    seen_lost: bool = False
    """A new worker does not know what was counted before it."""

    pending_forgotten: bool = False
    """An enforcer stops counting a settlement as soon as it is in the ledger, before the balances contain it."""

    expiry_forgotten: bool = False
    """An enforcer lets an expired reservation go without charging it."""

    name_kept: bool = False
    """An enforcer that starts again takes its old name, and so believes that it has its old shares."""

    reclaimed_early: bool = False
    """Shares are taken back before their holder's lease is over."""


def _room_without_shares(limit_nanousd: int, settled_nanousd: int, _shares: Mapping[str, Share]) -> int:
    return limit_nanousd - settled_nanousd


def _free_without_shares(limit_nanousd: int, _hard_bp: int, _committed_nanousd: int) -> int:
    return limit_nanousd


def _share_without_held(standing: Standing) -> int:
    return standing.granted_nanousd - standing.returned_nanousd - standing.used_nanousd - standing.pending_nanousd


def _share_without_returned(standing: Standing) -> int:
    taken = standing.used_nanousd + standing.pending_nanousd + standing.held_nanousd
    return standing.granted_nanousd - taken


def _limit_without_schedule(guard: Guard, _clock_ms: int, _grace_from_ms: int = 0) -> int:
    return min(budget.limit_nanousd * budget.tiers.hard_bp // 10_000 for budget in guard.budgets)


def _always_fresh(_leases: Leases, _partition: int, _steady_ms: int) -> bool:
    return True


def _grant_again(share: Share, free_nanousd: int) -> None:
    """A claim is taken for a wish for so much more, not for all that was ever wanted."""
    share.granted_nanousd += min(share.wanted_nanousd, max(0, free_nanousd) + share.granted_nanousd)


def _give_back_what_is_held(wants: Wants, want: Want, amount_nanousd: int) -> None:
    if amount_nanousd > 0:
        want.standing.returned_nanousd += amount_nanousd + want.standing.held_nanousd
        wants.say_of(want)


PLANTED: Final[Mapping[str, tuple[Any, str, Any]]] = {
    "carry_ignores_shares": (apply_carry, "free", _free_without_shares),
    "move_ignores_shares": (apply_move, "free", _free_without_shares),
    "shares_ignored": (escrow, "room", _room_without_shares),
    "granted_again": (Share, "grant", _grant_again),
    "held_ignored": (Standing, "share_nanousd", property(_share_without_held)),
    "returned_kept": (Standing, "share_nanousd", property(_share_without_returned)),
    "schedule_ignored": (Guard, "limit_at", _limit_without_schedule),
    "lease_ignored": (Leases, "is_fresh", _always_fresh),
}
"""Mutants of the protocol: what is replaced by what."""

IN_COMPILED: Final = ("held_ignored", "returned_kept", "lease_ignored")
"""Those that replace what only compiled code uses, where there is some."""


@contextmanager
def planted(name: str) -> Iterator[Faults]:
    """Break one thing while the context lasts; what is to be broken in the world is given."""
    if name in Faults.__slots__:
        yield Faults(**{name: True})
        return
    owner, attribute, mutant = PLANTED[name]
    sound = owner.__dict__[attribute]
    setattr(owner, attribute, mutant)
    try:
        yield Faults()
    finally:
        setattr(owner, attribute, sound)
