"""What a proposal and its review do: nothing is in force by one person's word where the policy asks for two."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.policy import Policy
from services.core.application import Application
from services.core.apply_policy import check_organization, grant_boost, granted_of, put_in_force, require_budget
from services.core.audit_text import json_text, limit_changes
from services.core.effects import GrantedBoost, PolicyEntry, Proposal
from services.core.events import PolicyChange, iso
from services.core.governance_events import BoostRequested, PolicyProposed, ProposalReview, ProposalReviewed
from services.core.outcomes import AuditAction
from services.core.rejection import Reason, Refused
from services.core.second_person import is_author, may_approve

OPEN_MAX: Final = 8
"""The most proposals of one organization that may be open."""
OPEN_FOR_MS: Final = 30 * 86_400_000
"""After so much of the ledger's clock a proposal expires."""
ENTRY_BYTES_MAX: Final = 3 << 20
"""The largest entry of the policies table that a proposal may lead to: it must fit into one message, whole."""

CLOCK: Final = "the ledger's clock"
"""Who lets proposals expire."""

_encode = msgspec.json.Encoder().encode


def apply_proposal(to: Application, event: PolicyProposed | BoostRequested | ProposalReviewed, index: int) -> None:
    """Open a proposal, or decide one. Raises Refused; nothing is then changed."""
    if to.duplicate(event):
        return
    match event:
        case PolicyProposed():
            _propose_policy(to, event, index)
        case BoostRequested():
            _request_boost(to, event, index)
        case ProposalReviewed():
            _review(to, event.data, index)
    to.effects.counts["proposal"] += 1
    to.remember(event)


def expire_proposals(to: Application) -> None:
    """Close what has been open for too long, organization by organization."""
    for name in to.state.overdue_proposals(to.clock_ms):
        entry = to.state.organization(name).entry
        assert entry is not None, "only an organization with a policy has proposals"
        overdue = [each for each in entry.proposals if each.expires_at_ms <= to.clock_ms]
        _keep(to, entry, tuple(each for each in entry.proposals if each not in overdue))
        for each in overdue:
            to.audit(0, "proposal.expired", each.proposal, organization=name, by=CLOCK, reason=f"made by {each.by}")


def _propose_policy(to: Application, event: PolicyProposed, index: int) -> None:
    change = event.data
    check_organization(change)
    entry = to.state.organization(change.organization).entry
    if entry is None:
        raise Refused(
            Reason.STALE_PROPOSAL, f"{change.organization} has no policy yet: apply the first one directly", "type"
        )
    if change.version <= entry.version:
        raise Refused(
            Reason.STALE_PROPOSAL,
            f"version {change.version} does not follow version {entry.version}, which is in force: propose again",
            "data.version",
        )
    try:
        found = limit_changes(Policy.model_validate(entry.policy), Policy.model_validate(change.policy))
    except (ValueError, LookupError) as error:
        raise Refused(Reason.INVALID_POLICY, str(error), "data.policy") from error
    proposal = Proposal(
        proposal=change.proposal,
        by=change.by,
        key_id=change.key_id,
        reason=change.reason,
        base=entry.version,
        proposed_at_ms=to.clock_ms,
        expires_at_ms=to.clock_ms + OPEN_FOR_MS,
        version=change.version,
        policy=change.policy,
    )
    _open(to, entry, proposal)
    before, after = found.texts({"version": entry.version}, {"version": change.version})
    to.audit(
        index,
        "policy.proposed",
        proposal.proposal,
        organization=entry.organization,
        by=proposal.by,
        key_id=proposal.key_id,
        reason=proposal.reason,
        before=before,
        after=after,
        budgets=found.budgets,
    )


def _request_boost(to: Application, event: BoostRequested, index: int) -> None:
    boost = event.data
    entry = require_budget(to.state.organization(boost.organization).entry, boost.budget)
    wanted = granted_of(boost)
    proposal = Proposal(
        proposal=boost.proposal,
        by=boost.by,
        key_id=boost.key_id,
        reason=boost.reason,
        base=entry.version,
        proposed_at_ms=to.clock_ms,
        expires_at_ms=to.clock_ms + OPEN_FOR_MS,
        boost=wanted,
    )
    _open(to, entry, proposal)
    to.audit(
        index,
        "boost.requested",
        proposal.proposal,
        organization=entry.organization,
        by=proposal.by,
        key_id=proposal.key_id,
        reason=proposal.reason,
        after=json_text({"amount_usd": wanted.amount_usd, "until": iso(wanted.until_ms)}),
        budgets=[wanted.budget],
    )


def _open(to: Application, entry: PolicyEntry, proposal: Proposal) -> None:
    if any(each.proposal == proposal.proposal for each in entry.proposals):
        raise Refused(Reason.STALE_PROPOSAL, f"a proposal {proposal.proposal} is open already", "data.proposal")
    if len(entry.proposals) >= OPEN_MAX:
        raise Refused(Reason.TOO_MANY_PROPOSALS, f"{OPEN_MAX} proposals are open: approve, reject or withdraw one")
    grown = (*entry.proposals, proposal)
    if len(_encode(msgspec.structs.replace(entry, proposals=grown))) > ENTRY_BYTES_MAX:
        raise Refused(Reason.TOO_MANY_PROPOSALS, "the open proposals are too large together: decide one first")
    _keep(to, entry, grown)


def _review(to: Application, review: ProposalReview, index: int) -> None:
    entry = to.state.organization(review.organization).entry
    found = [] if entry is None else [each for each in entry.proposals if each.proposal == review.proposal]
    if entry is None or not found:
        raise Refused(
            Reason.STALE_PROPOSAL,
            f"{review.proposal} is not open: it was decided or withdrawn, has expired, or was made for another version "
            f"than the one in force{'' if entry is None else f', {entry.version}'}",
            "data.proposal",
        )
    (proposal,) = found
    if review.verdict == "reject":
        author = is_author(proposal, by=review.by, key_id=review.key_id)
        _keep(to, entry, _without(entry, proposal))
        action: AuditAction = "proposal.withdrawn" if author else "proposal.rejected"
    else:
        if not may_approve(proposal, by=review.by, key_id=review.key_id):
            raise Refused(
                Reason.SAME_PERSON,
                f"{proposal.proposal} needs the approval of another person than {proposal.by}, with a key of their own",
                "data.by",
            )
        if proposal.boost is None:
            _approve_policy(to, entry, proposal, review, index)
        else:
            _approve_boost(to, entry, proposal, proposal.boost, review, index)
        action = "proposal.approved"
    to.audit(
        index,
        action,
        proposal.proposal,
        organization=entry.organization,
        by=review.by,
        key_id=review.key_id,
        reason=review.note,
        after=json_text({"made_by": proposal.by}),
    )


def _approve_policy(
    to: Application, entry: PolicyEntry, proposal: Proposal, review: ProposalReview, index: int
) -> None:
    assert proposal.policy is not None
    assert proposal.version is not None
    assert proposal.base == entry.version, "another policy in force closes what was proposed for the one before it"
    change = PolicyChange(
        organization=entry.organization,
        version=proposal.version,
        policy=proposal.policy,
        by=proposal.by,
        reason=proposal.reason,
        key_id=proposal.key_id,
    )
    put_in_force(to, index, change, proposal=proposal.proposal, approved_by=review.by)


def _approve_boost(
    to: Application, entry: PolicyEntry, proposal: Proposal, wanted: GrantedBoost, review: ProposalReview, index: int
) -> None:
    if wanted.until_ms <= to.clock_ms:
        raise Refused(Reason.STALE_PROPOSAL, f"the boost would have ended at {iso(wanted.until_ms)}", "data.proposal")
    require_budget(entry, wanted.budget)
    granted = msgspec.structs.replace(wanted, approved_by=review.by)
    left = msgspec.structs.replace(entry, proposals=_without(entry, proposal))
    grant_boost(to, index, left, granted, proposal=proposal.proposal)


def _without(entry: PolicyEntry, proposal: Proposal) -> tuple[Proposal, ...]:
    return tuple(each for each in entry.proposals if each.proposal != proposal.proposal)


def _keep(to: Application, entry: PolicyEntry, proposals: tuple[Proposal, ...]) -> None:
    kept = msgspec.structs.replace(entry, proposals=proposals, latest_offset=to.offset)
    to.state.retell(kept)
    to.effects.policies[entry.organization] = kept
