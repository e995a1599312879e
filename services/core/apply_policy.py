"""What a policy change and a boost do: a new policy in force, its windows filled with what was spent before it."""

from __future__ import annotations

import msgspec

from schemas.policy import Policy
from services.core.application import Application
from services.core.audit_text import json_text, limit_changes
from services.core.backfill import backfill
from services.core.effects import GrantedBoost, PolicyEntry
from services.core.events import BoostGranted, PolicyChanged, iso, to_ms
from services.core.money import MoneyError, parse_usd
from services.core.moving.standing_moves import carrying_since, kept_carries, kept_moves, moves_of_both
from services.core.policy import CompiledPolicy
from services.core.rejection import Reason, Refused
from services.core.scope import scope_key


def apply_policy(to: Application, event: PolicyChanged, index: int) -> None:
    """Put the organization's whole policy in force, replacing the one before it. Raises Refused."""
    change = event.data
    if to.duplicate(event):
        return
    if change.policy.get("organization") != change.organization:
        raise Refused(Reason.INVALID_POLICY, "the policy names another organization", "data.policy.organization")
    current = to.state.organization(change.organization).entry
    if current is not None and change.version <= current.version:
        raise Refused(
            Reason.STALE_POLICY,
            f"version {change.version} does not follow version {current.version}, which is in force",
            "data.version",
        )
    entry = PolicyEntry(
        organization=change.organization,
        version=change.version,
        policy=change.policy,
        by=change.by,
        reason=change.reason,
        key_id=change.key_id,
        offset=to.offset,
        boosts=() if current is None else _unexpired(to, current.boosts),
    )
    before = to.state.organization(change.organization).routes.policy
    policy = adopt(to, entry)
    entry = _with_money_moved(to, current, entry, before, policy)
    policy = adopt(to, entry)
    for key, balance in backfill(to.state.tables, policy, to.clock_ms):
        balance.offset = to.offset
        to.effects.balances[key] = balance
    _guard_shares(to, change.organization)
    to.effects.counts["policy"] += 1
    audit_policy(to, index, current, entry)
    to.remember(event)


def _with_money_moved(
    to: Application, current: PolicyEntry | None, entry: PolicyEntry, before: CompiledPolicy, after: CompiledPolicy
) -> PolicyEntry:
    """The entry with what was moved and carried over until now, as far as its budgets are still what they were."""
    horizon_begins_ms = to.clock_ms - to.state.horizon_ms
    moves, carries = ((), ()) if current is None else (current.moves, current.carries)
    return msgspec.structs.replace(
        entry,
        moves=moves_of_both(kept_moves(moves, horizon_begins_ms), before, after),
        carries=kept_carries(carries, horizon_begins_ms, before, after),
        carrying_since_ms=carrying_since(current, Policy.model_validate(entry.policy), before, after, to.clock_ms),
    )


def apply_boost(to: Application, event: BoostGranted, index: int) -> None:
    """Give a budget of the policy in force extra room until an instant. Raises Refused."""
    boost = event.data
    if to.duplicate(event):
        return
    entry = to.state.organization(boost.organization).entry
    if entry is None or all(written.get("name") != boost.budget for written in entry.policy.get("budgets", ())):
        raise Refused(Reason.UNKNOWN_BUDGET, f"{boost.organization} has no budget {boost.budget!r}", "data.budget")
    try:
        parse_usd(boost.amount_usd)
    except MoneyError as error:
        raise Refused(Reason.INVALID_MONEY, str(error), "data.amount_usd") from error
    granted = GrantedBoost(
        budget=boost.budget,
        amount_usd=boost.amount_usd,
        until_ms=to_ms(boost.until),
        by=boost.by,
        reason=boost.reason,
        key_id=boost.key_id,
    )
    boosts = (*_unexpired(to, entry.boosts), granted)
    adopt(to, msgspec.structs.replace(entry, boosts=boosts, offset=to.offset))
    to.effects.counts["boost"] += 1
    to.audit(
        index,
        "boost.granted",
        granted.budget,
        organization=boost.organization,
        by=granted.by,
        key_id=granted.key_id,
        reason=granted.reason,
        after=json_text({"amount_usd": granted.amount_usd, "until": iso(granted.until_ms)}),
        budgets=[granted.budget],
    )
    to.remember(event)


def audit_policy(to: Application, index: int, before: PolicyEntry | None, entry: PolicyEntry) -> None:
    """Put on record which limits a policy changed against the one that it replaces."""
    found = limit_changes(
        None if before is None else Policy.model_validate(before.policy), Policy.model_validate(entry.policy)
    )
    version = 0 if before is None else before.version
    told_before, told_after = found.texts({"version": version}, {"version": entry.version})
    to.audit(
        index,
        "policy.applied",
        entry.organization,
        organization=entry.organization,
        by=entry.by,
        key_id=entry.key_id,
        reason=entry.reason,
        before=told_before,
        after=told_after,
        budgets=found.budgets,
    )


def _unexpired(to: Application, boosts: tuple[GrantedBoost, ...]) -> tuple[GrantedBoost, ...]:
    # A late event may still be measured against the limit of its own time.
    return tuple(boost for boost in boosts if boost.until_ms + to.state.horizon_ms > to.clock_ms)


def _guard_shares(to: Application, name: str) -> None:
    """Find at once what of the shares granted so far is beyond the limits of now."""
    organization, whole = to.state.organization(name), scope_key({"org": name})
    for key, balance in to.state.tables.items():
        if balance.shares and key.startswith((f"{whole}@", f"{whole}/")):
            guard = organization.guard(key)
            if guard is not None:
                to.guard(key, balance, guard.limit_at(to.clock_ms, balance.grace_from_ms))


def adopt(to: Application, entry: PolicyEntry) -> CompiledPolicy:
    """Put an entry in force, and into the policies table. Raises Refused."""
    try:
        policy = to.state.adopt(entry)
    except (ValueError, LookupError) as error:  # a validation error, or a time zone that this machine does not know
        raise Refused(Reason.INVALID_POLICY, str(error), "data.policy") from error
    to.effects.policies[entry.organization] = entry
    return policy
