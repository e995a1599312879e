"""Puts into the ledger what was settled and what expired, and only then lets the enforcer forget it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from services.adapters import logs
from services.adapters.ledger import EventTooLarge, LedgerUnavailable, LedgerWriter, Receipt, SpoolFull
from services.adapters.metrics import Metrics
from services.core.decision import LedgerPosition
from services.core.money import format_usd
from services.enforcer.answers import Settled
from services.enforcer.closings import Closing
from services.enforcer.engine import Engine
from services.enforcer.report import Report
from services.enforcer.reservations import Closed

TICK_S = 0.25
log = logs.logger(__name__)
_encode = msgspec.json.Encoder().encode


class Journal:
    """The way of settlements and expiries into the ledger."""

    def __init__(self, engine: Engine, writer: LedgerWriter, metrics: Metrics) -> None:
        self._engine, self._writer = engine, writer
        self._settling: dict[str, asyncio.Task[Settled]] = {}
        self._settled = metrics.counter("spendgate_reservations_closed_total", fate="settled")
        self._expired = metrics.counter("spendgate_reservations_closed_total", fate="expired")
        self._overruns = metrics.counter("spendgate_overruns_total")
        self._overrun_nanousd = metrics.counter("spendgate_overspend_overrun_nanousd_total")

    async def settle(self, report: Report) -> Settled:
        """Settle a reservation; returns once the usage is durable. One that is settled again is answered alike.

        Raises `Restoring`, what `Closings.settle` raises, and `EventTooLarge`, `LedgerUnavailable` or `SpoolFull`: the
        reservation is then still held. Cancelled, it goes on by itself.
        """
        while (earlier := self._settling.get(report.reservation)) is not None:
            await asyncio.wait([earlier])
        self._engine.require_restored()
        outcome = self._engine.closings.settle(report, self._writer.clock.now_ms())
        if isinstance(outcome, Closed):
            return _settled_before(outcome)
        task = self._settling[report.reservation] = asyncio.create_task(self._finish(report, outcome))
        # Whoever asked may go away: what is on its way into the ledger cannot be called back.
        return await asyncio.shield(task)

    async def run(self) -> None:
        """Let time do its work, until cancelled: expire what is due, and find out where spooled usage went."""
        while True:
            await asyncio.sleep(TICK_S)
            self._engine.tidy(self._writer.clock.now_ms())
            self._place_drained()
            try:
                await self._expire()
            except (EventTooLarge, LedgerUnavailable, SpoolFull) as error:
                log.warning("expired reservations are kept for now", reason=str(error))

    async def _finish(self, report: Report, closing: Closing) -> Settled:
        try:
            receipt = await self._append([closing])
        finally:
            del self._settling[report.reservation]
        self._settled.inc()
        return self._settled_now(report, closing, receipt)

    async def _expire(self) -> None:
        while closings := self._engine.closings.expire(self._writer.clock.now_ms()):
            await self._append(closings)
            self._expired.inc(len(closings))

    async def _append(self, closings: Sequence[Closing]) -> Receipt:
        try:
            receipt = await self._writer.append(
                [(closing.organization, _encode(closing.event)) for closing in closings]
            )
        except BaseException:
            for closing in closings:
                self._engine.closings.undo(closing)
            raise
        offsets = dict(receipt.positions)
        for closing in closings:
            self._engine.closings.confirm(closing, offsets.get(closing.spending.partition))
        return receipt

    def _place_drained(self) -> None:
        for partition in self._engine.pending.spooled():
            offset = self._writer.reached(partition)
            if offset is not None:
                self._engine.pending.drained(partition, offset)

    def _settled_now(self, report: Report, closing: Closing, receipt: Receipt) -> Settled:
        cost, reservation = closing.cost_nanousd, closing.reservation
        estimate = None if reservation is None else reservation.estimate_nanousd
        overrun = 0 if cost is None or estimate is None else max(0, cost - estimate)
        if overrun:
            self._overruns.inc()
            self._overrun_nanousd.inc(overrun)
        return Settled(
            reservation=report.reservation,
            organization=closing.organization,
            cost_usd=None if cost is None else format_usd(cost),
            estimate_usd=None if estimate is None else format_usd(estimate),
            overrun_usd=format_usd(overrun),
            durability=receipt.durability,
            positions=[LedgerPosition(partition=partition, offset=offset) for partition, offset in receipt.positions],
            repeated=False,
        )


def _settled_before(closed: Closed) -> Settled:
    estimate, cost = closed.reservation.estimate_nanousd, closed.cost_nanousd
    return Settled(
        reservation=closed.reservation.id,
        organization=closed.reservation.ask.organization,
        cost_usd=None if cost is None else format_usd(cost),
        estimate_usd=None if estimate is None else format_usd(estimate),
        overrun_usd=format_usd(0 if cost is None or estimate is None else max(0, cost - estimate)),
        durability=None,
        positions=[],
        repeated=True,
    )
