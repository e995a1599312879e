"""Wires the parts of one enforcer, whatever transport it is asked over."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from services.adapters import logs
from services.adapters.ending import end_tasks
from services.adapters.kafka import partition_for
from services.adapters.lane import Pace
from services.adapters.ledger import LedgerWriter
from services.adapters.metrics import Metrics
from services.adapters.publisher import Publisher
from services.adapters.spool import Spool
from services.adapters.topics import topic
from services.adapters.vital import VitalTasks
from services.adapters.web import Readiness
from services.core.pricing import PriceBook
from services.enforcer.claim_meter import ClaimMeter
from services.enforcer.claims import Claims
from services.enforcer.desk import Desk
from services.enforcer.engine import Engine
from services.enforcer.follow import Follower
from services.enforcer.journal import Journal
from services.enforcer.publish import Decisions
from services.enforcer.recent import Recent
from services.enforcer.sample import Sample
from services.enforcer.settings import EnforcerSettings

SPOOL_FILE = "enforcer-spool.sqlite"
FINISH_S = 2.0
READY_S = 0.02
log = logs.logger(__name__)


class Background:
    """What runs beside the handlers: following, expiring, publishing."""

    def __init__(
        self,
        vital: VitalTasks,
        writer: LedgerWriter,
        publishers: Sequence[Publisher],
        follower: Follower,
        journal: Journal,
        decisions: Decisions,
        claims: Claims,
    ) -> None:
        self._vital, self._writer, self._publishers = vital, writer, publishers
        self._follower, self._journal, self._decisions, self._claims = follower, journal, decisions, claims

    async def running(self) -> AsyncIterator[None]:
        """Everything, from the start to the end."""
        await self._writer.start()
        publishing = self._vital.start("publish decisions", self._decisions.run())
        endless = [
            self._vital.start("follow the balances", self._follower.run()),
            self._vital.start("expire reservations", self._journal.run()),
            self._vital.start("claim shares", self._claims.run()),
        ]
        yield
        await end_tasks(*endless)
        self._decisions.finish()
        goodbye = self._vital.start("give shares back", self._claims.say_goodbye())
        _, unfinished = await asyncio.wait([publishing, goodbye], timeout=FINISH_S)
        for task in unfinished:
            log.warning("Kafka does not answer, not done before the end", task=task.get_name())
            task.cancel()
        await asyncio.gather(*[publisher.stop() for publisher in self._publishers])
        await self._writer.stop()


@dataclass(frozen=True, slots=True)
class Wired:
    """An enforcer without a transport: whom to ask, and what runs beside it."""

    engine: Engine
    writer: LedgerWriter
    vital: VitalTasks
    desk: Desk
    background: Background

    @classmethod
    def of(cls, settings: EnforcerSettings, metrics: Metrics) -> Wired:
        """All parts, nothing started yet. Raises `SpoolError`, with advice."""
        sample = Sample(settings.sample_allows)
        engine = new_engine(settings, sample)
        spool = Spool.open(settings.data_dir / SPOOL_FILE, max_bytes=settings.spool_max_bytes)
        vital = VitalTasks()
        writer = LedgerWriter(settings, spool, metrics, vital, pace=Pace(timeout_s=settings.append_timeout_s))
        clock, publisher = writer.clock, Publisher(settings, writer.clock)
        voice = Publisher(settings, clock)  # of its own: what checks wait for does not queue behind decisions
        meter, ledger = ClaimMeter(metrics), topic(settings, "ledger")
        claims = Claims(engine, voice, ledger, clock, settings, meter, lambda: new_identity(settings))
        follower = Follower(engine, settings, clock, claims.absorbed)
        journal = Journal(engine, writer, metrics)
        decisions = Decisions(
            publisher,
            topic(settings, "decisions"),
            engine.source,
            metrics,
            sample=sample,
            buffer_max=settings.decisions_buffer,
        )
        recent = Recent(settings.decisions_kept, settings.decisions_kept_max_bytes)
        desk = Desk(
            engine,
            clock,
            journal,
            follower,
            claims,
            decisions,
            recent,
            metrics,
            claim_timeout_ms=settings.claim_timeout_ms,
        )
        background = Background(vital, writer, [publisher, voice], follower, journal, decisions, claims)
        return cls(engine, writer, vital, desk, background)

    async def until_ready(self) -> None:
        """Return once it is."""
        while not self.readiness().ready:  # noqa: ASYNC110 - two parts that know nothing of each other become ready
            await asyncio.sleep(READY_S)

    def readiness(self) -> Readiness:
        """Ready once every balance is known and settlements can be kept."""
        restored, writer = self.engine.standings.restored, self.writer
        detail = {"restored": restored, "ledger": writer.ready, "spooled_events": writer.spooled_events}
        return Readiness(restored and writer.ready, detail)


def new_identity(settings: EnforcerSettings) -> str:
    """A name that no enforcer ever had."""
    return f"{settings.enforcer}-{secrets.token_hex(4)}"


def new_engine(settings: EnforcerSettings, sample: Sample) -> Engine:
    """An engine with an identity of its own: one that starts again is another one."""
    return Engine(
        new_identity(settings),
        PriceBook.bundled(),
        partition_for,
        reservation_ttl_ms=settings.reservation_ttl_s * 1000,
        reservations_max=settings.reservations_max,
        lease_ttl_ms=settings.lease_ttl_s * 1000,
        sampled=sample.has,
    )
