"""The policies in force, as the aggregator publishes them: their budgets are what forecasts are measured against."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing

import msgspec
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from schemas.policy import Policy
from services.adapters import logs
from services.adapters.kafka import tail
from services.adapters.settings import Settings
from services.adapters.topics import TopicsError
from services.core.effects import PolicyEntry
from services.core.policy import CompiledPolicy
from services.core.state import compiled_of
from services.forecaster.health import Health

RETRY_S = 1.0
log = logs.logger(__name__)
_decode = msgspec.json.Decoder(PolicyEntry).decode


class Policies:
    """Follows the policies changelog. Of an organization whose policy cannot be read, the last good one stays."""

    def __init__(self, settings: Settings, health: Health) -> None:
        self._settings, self._health = settings, health
        self._known: dict[str, CompiledPolicy] = {}
        self._offsets: dict[str, int] = {}
        self.caught_up = asyncio.Event()

    def of(self, organization: str) -> CompiledPolicy:
        """The policy of an organization; one that was never heard of has no budgets."""
        return self._known.get(organization) or CompiledPolicy.none(organization)

    async def follow(self) -> None:
        """Run until cancelled; when reading breaks, it begins again, and what is known stays."""
        while True:
            try:
                async with aclosing(tail(self._settings, ["policies"])) as batches:
                    async for batch in batches:
                        self.take(r.value for records in batch.records.values() for r in records)
                        if batch.caught_up:
                            self.caught_up.set()
                            self._health.over("policies")
            except (KafkaError, TopicsError, OSError) as error:
                self._health.trouble("policies", str(error) or repr(error))
                await asyncio.sleep(RETRY_S)

    def take(self, values: Iterable[bytes | None]) -> None:
        """Put entries of the changelog in force."""
        for value in values:
            if value is None:
                continue
            try:
                self._adopt(_decode(value))
            except (msgspec.MsgspecError, ValidationError, ValueError) as error:
                self._health.unreadable()
                log.error("a policy cannot be read, the one before it stays in force", reason=str(error))

    def _adopt(self, entry: PolicyEntry) -> None:
        name = entry.organization
        if self._offsets.get(name, -1) >= entry.offset:
            return
        policy = Policy.model_validate(entry.policy)
        self._known[name] = compiled_of(entry, policy)
        self._offsets[name] = entry.offset
