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
from services.core.effects import PolicyEntry
from services.core.events import BoostGranted, PolicyChange, PolicyChanged, from_ms
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
        self._require_current()
        entry = self._book.current(organization)
        if entry is None:
            raise ApiError(404, "no_policy", "this organization has no policy")
        return json_response(entry)

    async def post(self, request: web.Request) -> web.Response:
        """Replace the policy of an organization."""
        change = read_change(await read_body(request), PolicyRequest)
        policy = _valid_policy(change.policy)
        require_organization(request[PRINCIPAL], policy.organization, at="policy.organization")
        self._require_current()
        self._require_expected(policy.organization, change.expected_version)
        version = self._book.next_version(policy.organization)
        event = PolicyChanged(
            **_envelope(policy.organization),
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
        facts = {"organization": policy.organization, "version": version}
        return _changed(receipt, entry, **facts)

    async def boost(self, request: web.Request) -> web.Response:
        """Give one budget extra room for a while."""
        change = read_change(await read_body(request), BoostRequest)
        require_organization(request[PRINCIPAL], change.organization)
        self._require_current()
        self._require_budget(change.organization, change.budget)
        event = BoostGranted(**_envelope(change.organization), data=_boost(change, request[PRINCIPAL].key_id))
        receipt = await append(self._ledger, [(change.organization, msgspec.json.encode(event))])
        entry = await self._outcome(change.organization, receipt, version=NEVER)
        return _changed(receipt, entry, organization=change.organization, budget=change.budget)

    async def _outcome(self, organization: str, receipt: Receipt, *, version: int) -> PolicyEntry | None:
        if not receipt.positions:
            return None
        offset = receipt.positions[0][1]
        return await self._book.outcome(organization, offset, version=version, wait_s=self._apply_wait_s)

    def _require_current(self) -> None:
        if not self._book.caught_up:
            message = "the policies in force are not known yet: Kafka is away, or the service has just started"
            raise ApiError(503, "policies_unknown", message, headers={"Retry-After": "5"})

    def _require_expected(self, organization: str, expected: int | None) -> None:
        current = self._book.version(organization)
        if expected is not None and expected != current:
            raise _conflict(current, f"the version in force is {current}, not {expected}")

    def _require_budget(self, organization: str, budget: str) -> None:
        entry = self._book.current(organization)
        budgets = [] if entry is None else [item["name"] for item in entry.policy.get("budgets", ())]
        if budget not in budgets:
            raise ApiError(422, "unknown_budget", "the policy in force has no budget of this name", field="budget")


def _valid_policy(document: dict[str, Any]) -> Policy:
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


def _envelope(organization: str) -> dict[str, Any]:
    return {"id": uuid4().hex, "source": SOURCE, "time": from_ms(now_ms()), "subject": organization}


def _conflict(current: int, message: str) -> ApiError:
    return ApiError(409, "version_conflict", message, field="expected_version", detail={"current_version": current})


def _changed(receipt: Receipt, entry: PolicyEntry | None, **facts: Any) -> web.Response:
    """200 with `applied`, once the aggregator has it in force; 202 when it is durable and still on its way."""
    positions = [{"partition": partition, "offset": offset} for partition, offset in receipt.positions]
    answer = {**facts, "applied": entry is not None, "durability": receipt.durability, "positions": positions}
    return json_response(answer, status=202 if entry is None else 200)
