"""Every decision on its topic derived again, from the policies in the ledger: none may come out otherwise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from aiokafka import TopicPartition

from services.adapters.settings import Settings
from services.adapters.topics import partition_count, topic
from services.aggregator.image import reading
from services.cli.past_policies import past_policies
from services.cli.verification import PastPolicy, differences
from services.core.decision import Decision, DecisionMade
from services.core.pricing import PriceBook
from services.core.rederive import NotDerivable

_decode = msgspec.json.Decoder(list[DecisionMade]).decode


@dataclass(slots=True)
class Rederivation:
    """How many decisions there are, and a line for each that comes out otherwise or cannot be derived."""

    decisions: int = 0
    different: list[str] = field(default_factory=list)


async def rederive_all(settings: Settings) -> Rederivation:
    """Derive every decision again that was published until now, the same one delivered twice only once.

    Raises CliError when the ledger no longer has its beginning, and aiokafka's `KafkaError`.
    """
    found, prices = Rederivation(), PriceBook.bundled()
    for partition in range(await partition_count(settings)):
        past = await _past(settings, partition)
        seen: set[str] = set()
        async with aclosing(published(settings, partition)) as decisions:
            async for decision in decisions:
                if decision.decision not in seen:
                    seen.add(decision.decision)
                    _check(found, decision, past[decision.organization], prices)
    return found


async def published(settings: Settings, partition: int) -> AsyncGenerator[Decision, None]:
    """The decisions in one partition of their topic, up to its present end."""
    source = TopicPartition(topic(settings, "decisions"), partition)
    async with reading(settings, source) as consumer:
        end = (await consumer.end_offsets([source]))[source]
        while await consumer.position(source) < end:
            for record in (await consumer.getmany(timeout_ms=500)).get(source, []):
                for event in _decode(record.value or b"[]"):
                    yield event.data


async def _past(settings: Settings, partition: int) -> defaultdict[str, list[PastPolicy]]:
    past: defaultdict[str, list[PastPolicy]] = defaultdict(list)
    async with aclosing(past_policies(settings, partition)) as entries:
        async for entry in entries:
            past[entry.organization].append(PastPolicy.of(entry))
    return past


def _check(found: Rederivation, decision: Decision, past: list[PastPolicy], prices: PriceBook) -> None:
    found.decisions += 1
    try:
        different = differences(decision, past, prices)
    except NotDerivable as error:
        found.different.append(f"{decision.decision}: {error}")
        return
    if different:
        found.different.append(f"{decision.decision}: {'; '.join(map(str, different))}")
