"""What a policy change and a boost do: a new policy in force, its windows filled with what was spent before it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.policy import Policy
from services.core.application import Application
from services.core.audit_text import json_text, limit_changes
from services.core.backfill import backfill
from services.core.effects import GrantedBoost, PolicyEntry, Proposal
from services.core.events import Boost, BoostGranted, PolicyChange, PolicyChanged, iso, to_ms
from services.core.money import MoneyError, parse_usd
from services.core.moving.standing_moves import carrying_since, kept_carries, kept_moves, moves_of_both
from services.core.policy import CompiledPolicy
from services.core.rejection import Reason, Refused
from services.core.scope import scope_key
from services.core.second_person import boost_needs_review, policy_needs_review


def apply_limits(to: Application, event: PolicyChanged | BoostGranted, index: int) -> None:
    """What is allowed changes: all of it, or one budget for a while. Raises Refused."""
    match event:
        case PolicyChanged():
            apply_policy(to, event, index)
        case BoostGranted():
            apply_boost(to, event, index)


def apply_policy(to: Application, event: PolicyChanged, index: int) -> None:
    """Put the organization's whole policy in force, replacing the one before it. Raises Refused."""
    change = event.data
    if to.duplicate(event):
        return
    check_organization(change)
    current = to.state.organization(change.organization).entry
    if current is not None and change.version <= current.version:
        raise Refused(
            Reason.STALE_POLICY,
            f"version {change.version} does not follow version {current.version}, which is in force",
            "data.version",
        )
    if policy_needs_review(current):
        raise Refused(
            Reason.REVIEW_REQUIRED, "a second person must agree: propose the policy and let them approve it", "type"
        )
    put_in_force(to, index, change)
    to.remember(event)


def apply_boost(to: Application, event: BoostGranted, index: int) -> None:
    """Give a budget of the policy in force extra room until an instant. Raises Refused."""
    boost = event.data
    if to.duplicate(event):
        return
    entry = require_budget(to.state.organization(boost.organization).entry, boost.budget)
    granted = granted_of(boost)
    if boost_needs_review(entry, granted, to.clock_ms):
        raise Refused(
            Reason.REVIEW_REQUIRED,
            f"one person may not give {boost.budget} so much, running boosts included: request this one, and let "
            "another approve it",
            "data.amount_usd",
        )
    grant_boost(to, index, entry, granted)
    to.remember(event)


def put_in_force(
    to: Application, index: int, change: PolicyChange, *, proposal: str | None = None, approved_by: str | None = None
) -> None:
    """Replace the policy in force, and close what was proposed in place of the old one.

    Raises Refused, and has then changed nothing.
    """
    current = to.state.organization(change.organization).entry
    open_ones = () if current is None else current.proposals
    entry = PolicyEntry(
        organization=change.organization,
        version=change.version,
        policy=change.policy,
        by=change.by,
        reason=change.reason,
        key_id=change.key_id,
        offset=to.offset,
        latest_offset=to.offset,
        boosts=() if current is None else _unexpired(to, current.boosts),
        proposals=tuple(each for each in open_ones if each.boost is not None),
        approved_by=approved_by,
    )
    before = to.state.organization(change.organization).routes.policy
    entry = _with_money_moved(to, current, entry, before, adopt(to, entry))
    policy = adopt(to, entry)
    for key, balance in backfill(to.state.tables, policy, to.clock_ms):
        balance.offset = to.offset
        to.effects.balances[key] = balance
    _guard_shares(to, change.organization)
    to.effects.counts["policy"] += 1
    _audit_policy(to, index, current, entry, proposal)
    _audit_superseded(
        to, index, entry, [each for each in open_ones if each.boost is None and each.proposal != proposal]
    )


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


def grant_boost(
    to: Application, index: int, entry: PolicyEntry, granted: GrantedBoost, *, proposal: str | None = None
) -> None:
    """Add a boost to those of a policy in force."""
    boosts = (*_unexpired(to, entry.boosts), granted)
    adopt(to, msgspec.structs.replace(entry, boosts=boosts, offset=to.offset, latest_offset=to.offset))
    to.effects.counts["boost"] += 1
    facts = {"amount_usd": granted.amount_usd, "until": iso(granted.until_ms)}
    to.audit(
        index,
        "boost.granted",
        granted.budget,
        organization=entry.organization,
        by=granted.by,
        key_id=granted.key_id,
        reason=granted.reason,
        after=json_text(facts | _second_person(proposal, granted.approved_by)),
        budgets=[granted.budget],
    )


def check_organization(change: PolicyChange) -> None:
    """Raise Refused for a policy of somebody else."""
    if change.policy.get("organization") != change.organization:
        raise Refused(Reason.INVALID_POLICY, "the policy names another organization", "data.policy.organization")


def require_budget(entry: PolicyEntry | None, budget: str) -> PolicyEntry:
    """The policy in force, if it has this budget. Raises Refused."""
    if entry is None or all(written.get("name") != budget for written in entry.policy.get("budgets", ())):
        raise Refused(Reason.UNKNOWN_BUDGET, f"the policy in force has no budget {budget!r}", "data.budget")
    return entry


def granted_of(boost: Boost) -> GrantedBoost:
    """The boost as it is kept. Raises Refused for an amount that is none."""
    try:
        parse_usd(boost.amount_usd)
    except MoneyError as error:
        raise Refused(Reason.INVALID_MONEY, str(error), "data.amount_usd") from error
    return GrantedBoost(
        budget=boost.budget,
        amount_usd=boost.amount_usd,
        until_ms=to_ms(boost.until),
        by=boost.by,
        reason=boost.reason,
        key_id=boost.key_id,
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


def _audit_policy(
    to: Application, index: int, before: PolicyEntry | None, entry: PolicyEntry, proposal: str | None
) -> None:
    found = limit_changes(
        None if before is None else Policy.model_validate(before.policy), Policy.model_validate(entry.policy)
    )
    version = 0 if before is None else before.version
    told_before, told_after = found.texts(
        {"version": version}, {"version": entry.version} | _second_person(proposal, entry.approved_by)
    )
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


def _audit_superseded(to: Application, index: int, entry: PolicyEntry, closed: Sequence[Proposal]) -> None:
    for each in closed:
        to.audit(
            index,
            "proposal.superseded",
            each.proposal,
            organization=entry.organization,
            by=entry.by,
            key_id=entry.key_id,
            reason=f"version {entry.version} is in force, this was made for version {each.base}",
        )


def _second_person(proposal: str | None, approved_by: str | None) -> dict[str, str]:
    return {} if proposal is None or approved_by is None else {"proposal": proposal, "approved_by": approved_by}
