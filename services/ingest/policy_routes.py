"""Policies and boosts: an admin changes what an organization may spend, and hears once the change is in force."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web

from schemas.policy import Policy, parse_policy
from schemas.problems import DocumentError, Problem
from schemas.steering import BoostRequest
from services.adapters.clock import now_ms
from services.adapters.ledger import LedgerWriter, Receipt
from services.adapters.web import PRINCIPAL, require_organization
from services.adapters.web_body import read_body
from services.adapters.web_errors import ApiError, json_response
from services.core import events
from services.core.apply_policy import granted_of
from services.core.effects import PolicyEntry
from services.core.events import BoostGranted, PolicyChange, PolicyChanged, from_ms
from services.core.second_person import boost_needs_review, policy_needs_review
from services.core.unenforced import unenforced
from services.ingest.changes import PolicyRequest, read_change
from services.ingest.event_routes import append
from services.ingest.policy_book import PolicyBook

SOURCE = "spendgate/ingest"
NEVER = 2**63  # a version that no change of policy takes from a boost


class PolicyRoutes:
    """The handlers of policies and boosts. `apply_wait_s`: how long a change waits to be in force before 202."""

    def __init__(self, ledger: LedgerWriter, book: PolicyBook, *, apply_wait_s: float) -> None:
        self._ledger, self._book, self._apply_wait_s = ledger, book, apply_wait_s

    async def get(self, request: web.Request) -> web.Response:
        """The policy in force."""
        organization = request.match_info["organization"]
        require_organization(request[PRINCIPAL], organization)
        require_current(self._book)
        entry = self._book.current(organization)
        if entry is None:
            raise ApiError(404, "no_policy", "this organization has no policy")
        return json_response(entry)

    async def post(self, request: web.Request) -> web.Response:
        """Replace the policy of an organization."""
        change = read_change(await read_body(request), PolicyRequest)
        policy = valid_policy(change.policy)
        require_organization(request[PRINCIPAL], policy.organization, at="policy.organization")
        require_current(self._book)
        require_expected(self._book, policy.organization, change.expected_version)
        self._require_no_review(policy.organization)
        version = self._book.next_version(policy.organization)
        event = PolicyChanged(
            **envelope(policy.organization),
            data=PolicyChange(
                organization=policy.organization,
                version=version,
                policy=policy.model_dump(mode="json"),
                by=change.by,
                reason=change.reason,
                key_id=request[PRINCIPAL].key_id,
            ),
        )
        receipt = await append(self._ledger, [(policy.organization, msgspec.json.encode(event))])
        entry = await self._outcome(policy.organization, receipt, version=version)
        if entry is not None and entry.offset < receipt.positions[0][1]:
            raise _conflict(entry.version, "another change took this version first")
        facts = {"organization": policy.organization, "version": version, "notes": unenforced(policy)}
        return changed(receipt, applied=entry is not None, **facts)

    async def boost(self, request: web.Request) -> web.Response:
        """Give one budget extra room for a while."""
        change = read_change(await read_body(request), BoostRequest)
        require_organization(request[PRINCIPAL], change.organization)
        require_current(self._book)
        in_force = require_budget(self._book, change.organization, change.budget)
        boost = _boost(change, request[PRINCIPAL].key_id)
        if boost_needs_review(in_force, granted_of(boost), now_ms()):
            raise _review_required("another person must approve a boost that large: POST it to /v1/proposals")
        event = BoostGranted(**envelope(change.organization), data=boost)
        receipt = await append(self._ledger, [(change.organization, msgspec.json.encode(event))])
        entry = await self._outcome(change.organization, receipt, version=NEVER)
        return changed(receipt, applied=entry is not None, organization=change.organization, budget=change.budget)

    async def _outcome(self, organization: str, receipt: Receipt, *, version: int) -> PolicyEntry | None:
        if not receipt.positions:
            return None
        offset = receipt.positions[0][1]
        return await self._book.outcome(organization, offset, version=version, wait_s=self._apply_wait_s)

    def _require_no_review(self, organization: str) -> None:
        if policy_needs_review(self._book.current(organization)):
            raise _review_required("another person must approve a policy here: POST it to /v1/proposals")


def require_current(book: PolicyBook) -> None:
    """Raise `ApiError` 503 while the policies in force are not known."""
    if not book.caught_up:
        message = "the policies in force are not known yet: Kafka is away, or the service has just started"
        raise ApiError(503, "policies_unknown", message, headers={"Retry-After": "5"})


def require_expected(book: PolicyBook, organization: str, expected: int | None) -> None:
    """Raise `ApiError` 409 when another version is in force."""
    current = book.version(organization)
    if expected is not None and expected != current:
        raise _conflict(current, f"the version in force is {current}, not {expected}")


def require_budget(book: PolicyBook, organization: str, budget: str, *, at: str = "budget") -> PolicyEntry:
    """The policy in force, if it has this budget. Raises `ApiError` 422."""
    entry = book.current(organization)
    if entry is None or budget not in [item["name"] for item in entry.policy.get("budgets", ())]:
        raise ApiError(422, "unknown_budget", "the policy in force has no budget of this name", field=at)
    return entry


def valid_policy(document: dict[str, Any]) -> Policy:
    """The policy in a request. Raises `ApiError` 422, listing every problem."""
    try:
        return parse_policy(document)
    except DocumentError as error:
        problems = [{"field": _field(problem), "message": problem.message} for problem in error.problems]
        first = problems[0]
        raise ApiError(
            422, "invalid_policy", first["message"], field=first["field"], detail={"problems": problems}
        ) from error


def _field(problem: Problem) -> str:
    return f"policy.{problem.path}" if problem.path else "policy"


def _boost(change: BoostRequest, key_id: str) -> events.Boost:
    if change.until <= from_ms(now_ms()):
        raise ApiError(422, "invalid_field", "must lie in the future", field="until")
    return events.Boost(**change.model_dump(), key_id=key_id)


def envelope(organization: str) -> dict[str, Any]:
    """What an event of ours says of itself."""
    return {"id": uuid4().hex, "source": SOURCE, "time": from_ms(now_ms()), "subject": organization}


def _conflict(current: int, message: str) -> ApiError:
    return ApiError(409, "version_conflict", message, field="expected_version", detail={"current_version": current})


def _review_required(message: str) -> ApiError:
    return ApiError(409, "review_required", message)


def changed(receipt: Receipt, *, applied: bool, **facts: Any) -> web.Response:
    """200 with `applied`, once the aggregator has it in force; 202 when it is durable and still on its way."""
    positions = [{"partition": partition, "offset": offset} for partition, offset in receipt.positions]
    answer = {**facts, "applied": applied, "durability": receipt.durability, "positions": positions}
    return json_response(answer, status=200 if applied else 202)
