"""Proposals: an admin asks for a policy or a boost, another one decides, and both hear what became of it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web

from schemas.governance import ReviewRequest
from services.adapters.clock import now_ms
from services.adapters.ledger import LedgerWriter, Receipt
from services.adapters.web import PRINCIPAL, require_organization
from services.adapters.web_body import read_body
from services.adapters.web_errors import ApiError, json_response
from services.core.apply_proposal import OPEN_MAX
from services.core.effects import PolicyEntry, Proposal
from services.core.events import from_ms
from services.core.governance_events import (
    BoostProposal,
    BoostRequested,
    PolicyProposal,
    PolicyProposed,
    ProposalReview,
    ProposalReviewed,
)
from services.core.second_person import may_approve
from services.core.unenforced import unenforced
from services.ingest.changes import ProposalRequest, read_change
from services.ingest.event_routes import append
from services.ingest.policy_book import PolicyBook
from services.ingest.policy_routes import (
    changed,
    envelope,
    require_budget,
    require_current,
    require_expected,
    valid_policy,
)


class ProposalRoutes:
    """The handlers of proposals. `apply_wait_s`: how long one waits to be on record before 202."""

    def __init__(self, ledger: LedgerWriter, book: PolicyBook, *, apply_wait_s: float) -> None:
        self._ledger, self._book, self._apply_wait_s = ledger, book, apply_wait_s

    async def get(self, request: web.Request) -> web.Response:
        """What awaits a second person."""
        organization = request.match_info["organization"]
        require_organization(request[PRINCIPAL], organization)
        require_current(self._book)
        entry = self._book.current(organization)
        found = () if entry is None else entry.proposals
        return json_response({"organization": organization, "version": self._version(entry), "proposals": found})

    async def post(self, request: web.Request) -> web.Response:
        """Propose a policy, or request a boost."""
        asked = read_change(await read_body(request), ProposalRequest)
        name, key_id = f"prop-{uuid4().hex[:16]}", request[PRINCIPAL].key_id
        event: PolicyProposed | BoostRequested
        if asked.policy is not None:
            event, facts = self._policy(request, asked, asked.policy, name, key_id)
        else:
            event, facts = self._boost(request, asked, name, key_id)
        organization = event.data.organization
        receipt = await append(self._ledger, [(organization, msgspec.json.encode(event))])
        entry = await self._heard(organization, receipt)
        if entry is not None and _open(entry, name) is None:
            raise ApiError(409, "not_opened", "another change came first: look at what is in force, and propose again")
        return changed(receipt, applied=entry is not None, organization=organization, proposal=name, **facts)

    async def review(self, request: web.Request) -> web.Response:
        """Approve or reject what is proposed; who proposed it withdraws it by rejecting it."""
        name = request.match_info["proposal"]
        said = read_change(await read_body(request), ReviewRequest)
        require_organization(request[PRINCIPAL], said.organization)
        require_current(self._book)
        entry, key_id = self._book.current(said.organization), request[PRINCIPAL].key_id
        proposal = None if entry is None else _open(entry, name)
        if proposal is None:
            message = "no such proposal is open: it was decided or withdrawn, has expired, or another policy came first"
            raise ApiError(404, "no_proposal", message)
        if said.verdict == "approve" and not may_approve(proposal, by=said.by, key_id=key_id):
            message = f"{proposal.by} made it: another person must approve it, with a key of their own"
            raise ApiError(409, "same_person", message, field="by")
        review = ProposalReview(proposal=name, key_id=key_id, **said.model_dump())
        event = ProposalReviewed(**envelope(said.organization), data=review)
        receipt = await append(self._ledger, [(said.organization, msgspec.json.encode(event))])
        after = await self._heard(said.organization, receipt)
        if after is not None and _open(after, name) is not None:
            raise ApiError(409, "not_decided", "the ledger refused the review; the reason is among the rejections")
        facts = {"proposal": name, "version": self._version(after or entry)}
        return changed(receipt, applied=after is not None, organization=said.organization, **facts)

    def _policy(
        self, request: web.Request, asked: ProposalRequest, document: dict[str, Any], name: str, key_id: str
    ) -> tuple[PolicyProposed, dict[str, Any]]:
        policy = valid_policy(document)
        require_organization(request[PRINCIPAL], policy.organization, at="policy.organization")
        require_current(self._book)
        require_expected(self._book, policy.organization, asked.expected_version)
        self._require_room(policy.organization)
        version = self._book.next_version(policy.organization)
        proposal = PolicyProposal(
            organization=policy.organization,
            version=version,
            policy=policy.model_dump(mode="json"),
            by=asked.by,
            reason=asked.reason,
            key_id=key_id,
            proposal=name,
        )
        facts = {"version": version, "notes": unenforced(policy)}
        return PolicyProposed(**envelope(policy.organization), data=proposal), facts

    def _boost(
        self, request: web.Request, asked: ProposalRequest, name: str, key_id: str
    ) -> tuple[BoostRequested, dict[str, Any]]:
        boost = asked.boost
        assert boost is not None, "a request proposes one of both"
        require_organization(request[PRINCIPAL], boost.organization, at="boost.organization")
        require_current(self._book)
        require_budget(self._book, boost.organization, boost.budget, at="boost.budget")
        self._require_room(boost.organization)
        if boost.until <= from_ms(now_ms()):
            raise ApiError(422, "invalid_field", "must lie in the future", field="boost.until")
        wanted = BoostProposal(**boost.model_dump(), by=asked.by, reason=asked.reason, key_id=key_id, proposal=name)
        return BoostRequested(**envelope(boost.organization), data=wanted), {"budget": boost.budget}

    def _require_room(self, organization: str) -> None:
        entry = self._book.current(organization)
        if entry is None:
            raise ApiError(422, "no_policy", "this organization has no policy yet: apply its first one directly")
        if len(entry.proposals) >= OPEN_MAX:
            message = f"{OPEN_MAX} proposals are open: approve, reject or withdraw one"
            raise ApiError(409, "too_many_proposals", message)

    async def _heard(self, organization: str, receipt: Receipt) -> PolicyEntry | None:
        if not receipt.positions:
            return None
        return await self._book.heard(organization, receipt.positions[0][1], wait_s=self._apply_wait_s)

    def _version(self, entry: PolicyEntry | None) -> int:
        return 0 if entry is None else entry.version


def _open(entry: PolicyEntry, name: str) -> Proposal | None:
    return next((each for each in entry.proposals if each.proposal == name), None)
