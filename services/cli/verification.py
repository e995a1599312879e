"""Deriving decisions again: from what each says it knew, the policy of its version, and the prices of its version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
from aiokafka.errors import KafkaError

from schemas.policy import Policy
from services.adapters.settings import Settings
from services.cli.api import AWAY, Refused, open_api
from services.cli.connection import Connection
from services.cli.errors import CliError, Unreachable
from services.cli.past_policies import past_policies
from services.core.decision import Decision
from services.core.effects import PolicyEntry
from services.core.policy import CompiledPolicy
from services.core.pricing import PriceBook
from services.core.rederive import NotDerivable, rederive
from services.core.state import compiled_of


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that comes out otherwise, in JSON."""

    field: str
    recorded: str
    derived: str

    def __str__(self) -> str:
        return f"{self.field}: recorded {self.recorded}, derived {self.derived}"


@dataclass(frozen=True, slots=True)
class PastPolicy:
    """A policy that was in force from a ledger offset on."""

    offset: int
    policy: CompiledPolicy

    @classmethod
    def of(cls, entry: PolicyEntry) -> PastPolicy:
        """The policy of an entry, with its boosts."""
        policy = Policy.model_validate(entry.policy)
        return cls(entry.offset, compiled_of(entry, policy))


def differences(decision: Decision, past: Sequence[PastPolicy], prices: PriceBook) -> list[Difference]:
    """What is different when a decision is derived again; `past` are its organization's policies, in ledger order.

    A boost changes a policy and not its version: of those of the decision's version, any may have been what the
    enforcer knew, the last up to its ledger position most likely. Raises `NotDerivable`.
    """
    found = None
    for policy in _candidates(decision, past):
        different = list(_different(decision, rederive(decision, policy, prices)))
        if not different:
            return []
        found = found or different
    if found is None:
        raise NotDerivable(f"the ledger has no policy version {decision.policy_version} of {decision.organization}")
    return found


async def verify(connection: Connection, decision: Decision) -> list[Difference]:
    """What is different when a decision is derived again. Raises CliError when it cannot be derived."""
    entries = await _in_force(connection, decision) or await _from_ledger(connection.settings, decision)
    try:
        return differences(decision, [PastPolicy.of(entry) for entry in entries], PriceBook.bundled())
    except NotDerivable as error:
        raise CliError(
            f"the decision cannot be derived again: {error}",
            advice="use the version of spendgate that made it: each has the prices of its own time",
        ) from error


def _candidates(decision: Decision, past: Sequence[PastPolicy]) -> Iterator[CompiledPolicy]:
    if decision.policy_version == 0:
        yield CompiledPolicy.none(decision.organization)
        return
    of_version = [found for found in past if found.policy.version == decision.policy_version]
    applied = [found for found in of_version if found.offset <= decision.ledger.offset]
    for found in (*reversed(applied), *of_version[len(applied) :]):
        yield found.policy


def _different(recorded: Decision, derived: Decision) -> Iterator[Difference]:
    for name in Decision.__struct_fields__:
        ours, theirs = getattr(recorded, name), getattr(derived, name)
        if ours != theirs:
            yield Difference(name, msgspec.json.encode(ours).decode(), msgspec.json.encode(theirs).decode())


async def _in_force(connection: Connection, decision: Decision) -> list[PolicyEntry]:
    """The policy in force, if the decision knew this very one: then the ledger need not be read."""
    if connection.ingest_url is None:
        return []
    try:
        async with open_api(connection) as api:
            entry = await api.policy(decision.organization)
    except (Refused, *AWAY):
        return []
    known = entry is not None and entry.version == decision.policy_version and entry.offset <= decision.ledger.offset
    return [entry] if known and entry is not None else []


async def _from_ledger(settings: Settings, decision: Decision) -> list[PolicyEntry]:
    entries = []
    try:
        async with aclosing(past_policies(settings, decision.ledger.partition)) as found:
            async for entry in found:
                if entry.organization == decision.organization:
                    entries.append(entry)
                    if entry.version > decision.policy_version:
                        break
    except KafkaError as error:
        raise Unreachable(f"Kafka: {error}", advice="is the stack running? `spendgate up`") from error
    return entries
