"""Gateways: they ask, call for a while, and settle, late, twice, elsewhere or never; some break their own cap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from services.core.ask import Ask
from services.core.decide import Action, Reason
from services.core.decision import Decision
from services.core.money import parse_usd
from services.core.reservation import ReservationId
from services.enforcer.report import Report
from tests.core.ledger import PRICES, Json, usage
from tests.sim.books import Entry
from tests.sim.enforcers import TTL_MS, Enforcer

if TYPE_CHECKING:
    from tests.sim.world import World

_encode = msgspec.json.Encoder().encode


class Gateways:
    """All gateways of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def ask(self) -> None:
        """Ask some enforcer for some request."""
        enforcer = self._world.random.choice(self._world.enforcers)
        if not enforcer.running or not enforcer.ready:
            return
        ask = Ask(
            organization="strict",
            project=self._world.random.choice(["a", "b"]),
            user=self._world.random.choice(["ada", "bob"]),
            model=self._world.random.choice(["gpt-4o", "gpt-4o-mini"]),
            input_tokens=self._world.random.randrange(2000),
            max_output_tokens=self._world.random.randrange(1, 500),
            priority=self._world.random.choice(["normal", "normal", "critical"]),
        )
        enforcer.check(ask, self._world.now_ms, lambda decision: self._answered(enforcer, ask, decision))

    def _answered(self, enforcer: Enforcer, ask: Ask, decision: Decision) -> None:
        world = self._world
        if decision.action is not Action.ALLOW or decision.reservation is None:
            self._denied(ask, decision)
            return
        reservation, estimate = decision.reservation.id, parse_usd(decision.reservation.estimate_usd or "0")
        parsed = ReservationId.parse(reservation)
        assert parsed is not None, "enforcers write ids that can be read"
        world.seen.admitted(reclaimed=world.is_reclaimed(parsed.enforcer), graced=decision.reason is Reason.GRACE)
        world.books.reserve(reservation, Entry(enforcer.identity, world.keys(ask, parsed.reserved_at_ms), estimate))
        if world.random.random() < 0.08:
            return  # this gateway never settles
        broken = world.rude and world.random.random() < 0.1
        output = 2 * (ask.max_output_tokens or 0) if broken else world.random.randint(0, ask.max_output_tokens or 0)
        report = Report(
            reservation=reservation, organization="strict", project=ask.project, user=ask.user, model=ask.model,
            input_tokens=ask.input_tokens, output_tokens=output,
        )  # fmt: skip
        # Some calls outlive their reservation, so that it expires first.
        world.later(lambda: self._settle(enforcer, report), 10, TTL_MS * 5 // 4)

    def _denied(self, ask: Ask, decision: Decision) -> None:
        self._world.seen.denied += 1
        self._world.seen.throttled += decision.action is Action.THROTTLE
        if decision.reason is Reason.BUDGET_EXCEEDED:
            estimate = parse_usd(decision.estimate_usd or "0")
            free = min(self._world.free(key) for key in self._world.keys(ask, self._world.now_ms))
            self._world.seen.refused(stranded=free > estimate + max(self._world.limits.now // 100, 1))

    def _settle(self, enforcer: Enforcer, report: Report) -> None:
        if enforcer.dead:
            self._settle_elsewhere(report)
            return
        if enforcer.frozen:
            self._world.later(lambda: self._settle(enforcer, report), 100, 400)
            return
        closing = enforcer.settle(report, self._world.now_ms)
        self._world.books.settle(report.reservation, closing.cost_nanousd or 0)
        self._world.send(enforcer, closing)

    def _settle_elsewhere(self, report: Report) -> None:
        """The enforcer is gone: another takes it, or ingest does."""
        others = [each for each in self._world.enforcers if each.running and each.ready and not each.cut]
        if others and self._world.random.random() < 0.5:
            other = self._world.random.choice(others)
            closing = other.settle(report, self._world.now_ms)
            self._world.books.settle(report.reservation, closing.cost_nanousd or 0)
            self._world.send(other, closing)
            return
        event = usage(
            f"late-{report.reservation}", at_ms=self._world.now_ms, organization="strict", project=report.project,
            user=report.user, model=report.model or "", input_tokens=report.input_tokens,
            output_tokens=report.output_tokens, reservation=report.reservation,
        )  # fmt: skip
        self._world.books.settle(report.reservation, _price(event, self._world.now_ms))
        self._world.append(_encode(event), lambda _offset: None)

    def report(self) -> None:
        """Usage of another organization, some of it twice, some of it unpriced."""
        event = usage(
            f"u{self._world.random.randrange(40)}", at_ms=self._world.now_ms, organization="loose",
            user=self._world.random.choice(["ada", "eve"]), model=self._world.random.choice(["gpt-4o", "nobody-knows"]),
            input_tokens=self._world.random.randrange(5000), output_tokens=self._world.random.choice([None, 10, 500]),
        )  # fmt: skip
        self._world.append(_encode(event), lambda _offset: None)


def _price(event: Json, at_ms: int) -> int:
    data = event["data"]
    price = PRICES.price(
        None,
        data["gen_ai.request.model"],
        at_ms,
        input_tokens=data["gen_ai.usage.input_tokens"],
        output_tokens=data["gen_ai.usage.output_tokens"],
    )
    return 0 if price is None else price.total_nanousd
