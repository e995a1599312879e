"""What enforcers say of themselves: that they live, what they want of balances, and that they are gone for good."""

from __future__ import annotations

from services.core.application import Application
from services.core.balance import HOUR_MS, Balance, is_kept, split_key
from services.core.escrow import Registered, Share, grant, room
from services.core.events import AllowanceClaimed, Claim, EnforcerAlive, EnforcerForgotten
from services.core.guard import Guard
from services.core.rejection import Reason, Refused
from services.core.scope import level_of

CLAIMABLE_AHEAD_MS = HOUR_MS
"""How long before a window begins its balances can be claimed."""


def apply_said(to: Application, event: AllowanceClaimed | EnforcerAlive | EnforcerForgotten, index: int) -> None:
    """What an enforcer says, or is said of one. Raises Refused."""
    match event:
        case AllowanceClaimed():
            apply_claim(to, event)
        case EnforcerAlive():
            apply_heartbeat(to, event)
        case EnforcerForgotten():
            apply_farewell(to, event, index)


def apply_heartbeat(to: Application, event: EnforcerAlive) -> None:
    """The enforcer lives; from its first beat on it may claim. One that was reclaimed stays so."""
    beat = event.data
    known = to.state.enforcers.get(beat.enforcer)
    if known is None:
        known = Registered(beat=beat.beat, alive_at_ms=to.clock_ms)
    elif known.reclaimed:
        to.effects.counts["skipped"] += 1
        return
    known.hear(beat.beat, to.clock_ms)
    known.reclaim_after_ms = beat.reclaim_after_ms
    to.register(beat.enforcer, known)
    to.effects.counts["alive"] += 1


def apply_claim(to: Application, event: AllowanceClaimed) -> None:
    """Grant what there is room for. Raises Refused, for a claim whose balances cannot be read; nothing is then granted.

    A claim of somebody who never sent a heartbeat, or was reclaimed, grants nothing.
    """
    claim = event.data
    lines = [(line, _guard(to, claim.organization, line)) for line in claim.claims]
    known = to.state.enforcers.get(claim.enforcer)
    if known is None or known.reclaimed:
        to.effects.counts["skipped"] += 1
        return
    known.hear(claim.beat, to.clock_ms)
    to.register(claim.enforcer, known)
    for line, guard in lines:
        if guard is not None:
            _grant(to, claim.enforcer, claim.beat, line, guard)
    to.effects.counts["claim"] += 1


def apply_farewell(to: Application, event: EnforcerForgotten, index: int) -> None:
    """Free the enforcer's shares at once."""
    farewell = event.data
    known = to.state.enforcers.get(farewell.enforcer)
    if known is None or known.reclaimed:
        to.effects.counts["skipped"] += 1
        return
    to.reclaim(farewell.enforcer, known)
    to.effects.counts["forgotten"] += 1
    to.audit(
        index,
        "enforcer.forgotten",
        farewell.enforcer,
        organization=None,
        by=farewell.by,
        key_id=farewell.key_id,
        reason=farewell.reason,
    )


def _guard(to: Application, organization: str, line: Claim) -> Guard | None:
    """What limits the balance of a line; None when nothing does (any more), or it has left the tables."""
    try:
        guard = to.state.organization(organization).guard(line.balance)
    except ValueError as error:
        raise Refused(Reason.INVALID_BALANCE, f"{line.balance!r:.300}: {error}", "data.claims") from error
    if guard is None or not is_kept(split_key(line.balance)[1], to.clock_ms):
        return None
    if guard.window.start_ms - to.clock_ms > CLAIMABLE_AHEAD_MS:
        raise Refused(Reason.FUTURE, f"{line.balance!r:.300} begins too far in the future", "data.claims")
    return guard


def _grant(to: Application, enforcer: str, beat: int, line: Claim, guard: Guard) -> None:
    balance = to.state.tables.open(level_of(split_key(line.balance)[0]), line.balance)
    share = balance.shares.get(enforcer)
    if share is None:
        share = balance.shares[enforcer] = Share()
    share.claim(line.wanted_nanousd, line.released_nanousd, beat)
    to.guard(line.balance, balance, guard.limit_at(to.clock_ms, balance.grace_from_ms))
    grant(guard.limit_at(to.clock_ms), balance.settled_nanousd, balance.shares, enforcer)
    if line.grace and share.unmet_nanousd:
        _grant_grace(to, share, line.balance, balance, guard)
    to.touch(line.balance, balance)


def _grant_grace(to: Application, share: Share, key: str, balance: Balance, guard: Guard) -> None:
    """Grant beyond the limit what was asked for so. Grace opens when it is first needed, once in a window."""
    if not balance.grace_from_ms:
        if not guard.is_gracious(to.clock_ms):
            return
        balance.grace_from_ms = to.clock_ms
    limit = guard.limit_at(to.clock_ms, balance.grace_from_ms)
    to.guard(key, balance, limit)
    share.grant(room(limit, balance.settled_nanousd, balance.shares))
