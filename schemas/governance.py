"""What the ledger says about changes that need a second person: proposals, requests for boosts, and their reviews."""

from __future__ import annotations

from typing import Literal

from schemas.envelope import Data
from schemas.fields import Name, Text
from schemas.steering import Boost, PolicyChange


class PolicyProposal(PolicyChange):
    """A policy that somebody wants in force. `version` is the one it would be.

    It comes into force once another person approves it, if no other policy has come into force by then.
    """

    proposal: Name


class BoostProposal(Boost):
    """Extra room for one budget that somebody wants, and another person must approve."""

    proposal: Name


class ReviewRequest(Data):
    """What somebody says to an open proposal. Whoever made it withdraws it by rejecting it."""

    organization: Name
    verdict: Literal["approve", "reject"]
    by: Name
    note: Text = ""


class ProposalReview(ReviewRequest):
    """What somebody said to an open proposal. `by` is what the sender wrote, `key_id` the API key presented."""

    proposal: Name
    key_id: Name | None = None
