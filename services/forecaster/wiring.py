"""Wires the parts of a forecaster: from settings to rounds that can be run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from services.adapters.ending import end_tasks
from services.adapters.publisher import Publisher
from services.adapters.vital import VitalTasks
from services.core.anomaly import Sensitivity
from services.core.forecast import Voice
from services.forecaster.crossings import Crossings
from services.forecaster.forecasting import Forecasting
from services.forecaster.health import Health
from services.forecaster.herald import Herald
from services.forecaster.history import History
from services.forecaster.memory import Memory
from services.forecaster.policies import Policies
from services.forecaster.rounds import Rounds
from services.forecaster.settings import ForecasterSettings
from services.forecaster.watch import Watch

MEMORY_FILE = "forecaster.sqlite"


@dataclass(frozen=True, slots=True)
class Wired:
    """A forecaster without a server: its rounds, and what they need beside them."""

    rounds: Rounds
    policies: Policies
    publisher: Publisher
    history: History
    memory: Memory

    @classmethod
    def of(cls, settings: ForecasterSettings, health: Health, voices: Sequence[Voice] = ()) -> Wired:
        """All parts, nothing started yet. Raises `MemoryFileError`, with advice."""
        sensitivity = Sensitivity(threshold=settings.anomaly_threshold, effect_nanousd=settings.anomaly_effect_nanousd)
        memory = Memory.open(settings.data_dir / MEMORY_FILE, settings=repr(sensitivity))
        publisher = Publisher(settings)
        history = History(settings, scopes_max=settings.scopes_max)
        policies = Policies(settings, health)
        crossings = Crossings(above=settings.alert_above, below=settings.rearm_below)
        herald = Herald(settings, publisher, health)
        forecasting = Forecasting(
            history,
            herald,
            policies,
            crossings,
            history_days=settings.history_days,
            voices=voices,
            voice_days=settings.prophet_days,
        )
        watch = Watch(history, herald, memory, sensitivity, settle_ms=int(settings.settle_s * 1000))
        rounds = Rounds(settings, health, publisher, history, policies, crossings, forecasting, watch)
        return cls(rounds, policies, publisher, history, memory)

    async def running(self, vital: VitalTasks) -> AsyncIterator[None]:
        """Everything, from the start to the end."""
        endless = [
            vital.start("follow the policies", self.policies.follow()),
            vital.start("forecast and watch", self.rounds.run()),
        ]
        yield
        await end_tasks(*endless)
        await self.close()

    async def close(self) -> None:
        """Let go of Kafka, ClickHouse and the file."""
        await asyncio.gather(self.publisher.stop(), self.history.close())
        await asyncio.to_thread(self.memory.close)
