"""Whether a change needs a second person, and whether somebody is one: the fold decides by it, ingest asks before."""

from __future__ import annotations

from schemas.policy import Governance
from services.core.effects import GrantedBoost, PolicyEntry, Proposal
from services.core.money import parse_usd


def governance_of(entry: PolicyEntry) -> Governance:
    """The rules in force on who must agree to a change."""
    return Governance.model_validate(entry.policy.get("governance", {}))


def policy_needs_review(entry: PolicyEntry | None) -> bool:
    """Whether a policy in place of this one must be proposed; the first of an organization need not."""
    return entry is not None and governance_of(entry).review == "required"


def boost_needs_review(entry: PolicyEntry, boost: GrantedBoost, at_ms: int) -> bool:
    """Whether a boost would give its budget more than one person may, with those that run by one person's word.

    What a boost takes away makes no room for others: it may end before they do.
    """
    most = governance_of(entry).boosts_above_usd
    if most is None:
        return False
    running = [each for each in entry.boosts if each.budget == boost.budget and each.until_ms > at_ms]
    alone = [parse_usd(each.amount_usd) for each in (*running, boost) if each.approved_by is None]
    return sum(max(0, amount) for amount in alone) > parse_usd(most)


def may_approve(proposal: Proposal, *, by: str, key_id: str | None) -> bool:
    """Whether this is somebody else than the author, by name and by key. A key that is not known proves nothing."""
    return None not in (proposal.key_id, key_id) and not is_author(proposal, by=by, key_id=key_id)


def is_author(proposal: Proposal, *, by: str, key_id: str | None) -> bool:
    """Whether the name or the key is that of whoever made the proposal."""
    same_key = key_id is not None and proposal.key_id == key_id
    return same_key or proposal.by.strip().casefold() == by.strip().casefold()
