"""What a caller may ask of an enforcer, whatever the transport: who may, the call into the engine, and each refusal."""

from __future__ import annotations

from time import perf_counter

from services.adapters.clock import steady_ms
from services.adapters.keys import Principal, Role
from services.adapters.ledger_clock import LedgerClock
from services.adapters.metrics import Metrics
from services.adapters.web import require_organization
from services.adapters.web_errors import ApiError, forbidden
from services.core.ask import Ask
from services.core.decide import DENIALS, Action
from services.core.decision import Decision, LedgerPosition
from services.core.scope import parse_scope
from services.enforcer.answers import Released, Settled, Status
from services.enforcer.claims import Claims
from services.enforcer.engine import Engine
from services.enforcer.follow import Follower
from services.enforcer.journal import Journal
from services.enforcer.publish import Decisions
from services.enforcer.recent import Recent
from services.enforcer.refusals import REFUSED, refusal
from services.enforcer.report import Release, Report
from services.enforcer.status import status_of
from services.enforcer.wants import Shortage

WAIT_MS_DEFAULT, WAIT_MS_MAX = 1_000, 30_000
_ALLOW = Action.ALLOW  # looking a member up takes longer than all that is done with it
UNKNOWN_DECISION = (
    "this enforcer did not make the decision, or has forgotten it: it keeps its last {most}. ClickHouse keeps denials, "
    "warnings and a sample of the rest: `spendgate explain` asks there too"
)
EDGES = frozenset({Role.EDGE, Role.ADMIN})
READERS = EDGES | {Role.VIEWER}


def require_role(principal: Principal, roles: frozenset[Role]) -> None:
    """Raise `ApiError` 403 unless the key has one of these roles."""
    if principal.role not in roles:
        raise forbidden("role_not_allowed", f"a key of role {principal.role} may not do this")


class Desk:
    """One enforcer, asked on behalf of a key. Every method raises `ApiError` for what is refused."""

    def __init__(
        self,
        engine: Engine,
        clock: LedgerClock,
        journal: Journal,
        follower: Follower,
        claims: Claims,
        decisions: Decisions,
        recent: Recent,
        metrics: Metrics,
        *,
        claim_timeout_ms: int,
    ) -> None:
        self.engine, self._offer, self._recent = engine, decisions.offer, recent
        self._claims, self._claim_timeout_ms, self._claim_meter = claims, claim_timeout_ms, claims.meter
        self._clock, self._journal, self._follower = clock, journal, follower
        self._denials = {reason: metrics.counter("spendgate_denials_total", reason=reason.value) for reason in DENIALS}
        self._throttles = metrics.counter("spendgate_throttles_total")
        self._released = metrics.counter("spendgate_reservations_closed_total", fate="released")

    def check(self, principal: Principal, ask: Ask) -> Decision | Shortage:
        """Decide a request at once, if what is known here suffices; else give what it lacks to `check_waiting`.

        A denial is an answer like any other. `publish` what is answered.
        """
        require_organization(principal, ask.organization)
        return self._check(ask)

    async def check_waiting(self, principal: Principal, ask: Ask, shortage: Shortage | None = None) -> Decision:
        """Decide a request, waiting for the ledger's answer where it lacks a share, but no longer than is allowed."""
        found = self.check(principal, ask) if shortage is None else shortage
        return found if isinstance(found, Decision) else await self._wait(ask, found)

    def publish(self, decision: Decision, *, json: bytes | None = None, msgpack: bytes | None = None) -> None:
        """Let others know what was answered, as it was encoded: here for a while, and on the topic."""
        self._recent.keep(decision, json or msgpack)
        self._offer(decision, json)

    def explain(self, principal: Principal, decision_id: str) -> bytes:
        """A decision of the key's organization, as it was answered. Others' are as unknown as forgotten ones."""
        found = self._recent.find(decision_id)
        if found is None or not principal.covers(found[0]):
            raise ApiError(404, "unknown_decision", UNKNOWN_DECISION.format(most=self._recent.most), field="decision")
        return found[1]

    def _check(self, ask: Ask, *, final: bool = False) -> Decision | Shortage:
        try:
            decision = self.engine.check(ask, self._clock.now_ms(), steady_ms(), final=final)
        except REFUSED as error:
            raise refusal(error) from error
        if isinstance(decision, Decision) and decision.action is not _ALLOW:
            self._count(decision)
        return decision

    def _count(self, decision: Decision) -> None:
        if decision.action is Action.DENY:
            self._denials[decision.reason].inc()
        elif decision.action is Action.THROTTLE:
            self._throttles.inc()

    async def _wait(self, ask: Ask, shortage: Shortage) -> Decision:
        begun, left_ms = perf_counter(), self._claim_timeout_ms
        found: Decision | Shortage = shortage
        while isinstance(found, Shortage):
            if left_ms > 0:
                await self._claims.answer(found, left_ms)
            found = self._check(ask, final=left_ms <= 0)
            left_ms = self._claim_timeout_ms - int((perf_counter() - begun) * 1000)
        self._claim_meter.waited(perf_counter() - begun, answered=left_ms > 0)
        return found

    async def settle(self, principal: Principal, report: Report) -> Settled:
        """Replace a reservation by what was used, once that is durable."""
        owner = self.engine.closings.owner(report.reservation) or report.organization
        if owner is not None:
            require_organization(principal, owner)
        try:
            settled = await self._journal.settle(report)
        except REFUSED as error:
            raise refusal(error) from error
        # It may have waited for somebody else's settlement: the answer tells whose reservation it was.
        require_organization(principal, settled.organization)
        return settled

    def release(self, principal: Principal, release: Release) -> Released:
        """Give back what was reserved for a request that was never made."""
        owner = self.engine.closings.owner(release.reservation)
        if owner is not None:
            require_organization(principal, owner)
        try:
            self.engine.closings.release(release.reservation)
        except REFUSED as error:
            raise refusal(error) from error
        self._released.inc()
        return Released(reservation=release.reservation)

    async def status(self, principal: Principal, scope: str, after: LedgerPosition | None, wait_ms: int) -> Status:
        """A scope's balances and budgets, after a ledger position if one is asked for."""
        try:
            organization = parse_scope(scope).get("org")
            if organization is None:
                raise ApiError(
                    422, "invalid_scope", "the scope must name its organization: org:acme/...", field="scope"
                )
            require_organization(principal, organization, at="scope")
            reached = after is None or await self._follower.reached(after.partition, after.offset, wait_ms / 1000)
            return status_of(self.engine, scope, self._clock.now_ms(), reached=reached)
        except REFUSED as error:
            raise refusal(error) from error
