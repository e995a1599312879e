"""Wire structs of changes that need a second person. `schemas.governance` says the same for the people who write it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from services.core.events import Boost, Event, Name, PolicyChange, Text


class PolicyProposal(PolicyChange, frozen=True, kw_only=True):
    """A policy that somebody wants in force; `version` is the one it would be."""

    proposal: Name


class BoostProposal(Boost, frozen=True, kw_only=True, gc=False):
    """Extra room for one budget that somebody wants."""

    proposal: Name


class ProposalReview(Struct, frozen=True, kw_only=True, gc=False):
    """What somebody says to an open proposal; its author withdraws it by rejecting it."""

    organization: Name
    proposal: Name
    verdict: Literal["approve", "reject"]
    by: Name
    note: Text = ""
    key_id: Name | None = None


class PolicyProposed(Event, frozen=True, kw_only=True, tag="spendgate.policy.proposed.v1"):
    data: PolicyProposal


class BoostRequested(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.boost.requested.v1"):
    data: BoostProposal


class ProposalReviewed(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.proposal.reviewed.v1"):
    data: ProposalReview
