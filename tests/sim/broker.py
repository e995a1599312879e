"""A model of Kafka: a ledger that appends, and changelogs whose transactions commit whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from services.core.effects import POSITION_KEY, Effects
from services.core.escrow import ENFORCER_KEY
from services.core.fold import fold
from services.core.record import Record
from services.core.seen import Seen
from services.core.state import LedgerState
from tests.core.ledger import Changelog
from tests.sim.faults import Faults

Transaction = list[tuple[bytes, bytes | None]]

_encode = msgspec.json.Encoder().encode


class Fenced(Exception):
    """Somebody else holds the partition now: the process that learns this must end."""


@dataclass(slots=True)
class Broker:
    """One partition: what was appended, and what is committed for the latest holder of the fence."""

    faults: Faults
    ledger: list[Record] = field(default_factory=list)
    changelog: Changelog = field(default_factory=Changelog)
    transactions: list[Transaction] = field(default_factory=list)
    committed: list[Effects] = field(default_factory=list)
    policies: list[bytes] = field(default_factory=list)
    _epoch: int = 0
    _position: bytes = b""

    def append(self, now_ms: int, *events: bytes) -> int:
        """Append one record; its offset."""
        offset = len(self.ledger)
        self.ledger.append(Record(0, offset, now_ms, b"[" + b",".join(events) + b"]"))
        return offset

    def restore(self) -> LedgerState:
        """What a new process reads back."""
        state = self.changelog.restore()
        state.carry_after_ms = 0  # at once, while enforcers still hold shares of the day that is over
        if self.faults.seen_lost:
            state.seen = Seen()
        return state

    def fence(self) -> int:
        """A new epoch: holders of earlier ones can no longer commit."""
        self._epoch += 1
        return self._epoch

    def commit(self, epoch: int, effects: Effects) -> None:
        """One transaction. Raises Fenced."""
        if epoch != self._epoch and not self.faults.no_fence:
            raise Fenced
        self.changelog.write(effects)
        if self.faults.position_late:
            self.changelog.position, self._position = self._position, self.changelog.position
        self.policies += [_encode(entry) for entry in effects.policies.values()]
        self.committed.append(effects)
        values = {**effects.balances, **{ENFORCER_KEY + name: found for name, found in effects.enforcers.items()}}
        written = [(key.encode(), None if value is None else _encode(value)) for key, value in values.items()]
        self.transactions.append([*written, (POSITION_KEY.encode(), _encode(effects.position))])


@dataclass(slots=True)
class Aggregator:
    """One life of an aggregator process."""

    broker: Broker
    epoch: int
    state: LedgerState
    frozen: bool = False
    in_hand: Effects | None = None

    @classmethod
    def open(cls, broker: Broker) -> Aggregator:
        """Fence, then restore."""
        epoch = broker.fence()
        return cls(broker, epoch, broker.restore())

    def read(self, limit: int) -> None:
        """Fold the next records; their effects are in hand until they are committed."""
        effects = Effects()
        first = self.state.position.offset + 1
        for record in self.broker.ledger[first : first + limit]:
            effects.absorb(fold(self.state, record))
        self.in_hand = effects if effects.position is not None else None

    def write(self) -> None:
        """Commit what is in hand. Raises Fenced."""
        effects, self.in_hand = self.in_hand, None
        if effects is not None:
            self.broker.commit(self.epoch, effects)
