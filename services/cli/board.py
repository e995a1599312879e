"""The balances and policies of an installation as a person looks at them: kept up to date from the changelogs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from schemas.policy import Policy
from services.adapters.kafka import Record, tail
from services.adapters.settings import Settings
from services.adapters.topics import TopicName
from services.core.balance import Balance, split_key
from services.core.effects import POSITION_KEY, PolicyEntry, Position
from services.core.policy import Budget, CompiledPolicy
from services.core.scope import Level, level_of, parse_scope
from services.core.state import compiled_of
from services.core.window import WindowKind, window_at

_decode_balance = msgspec.json.Decoder(Balance).decode
_decode_position = msgspec.json.Decoder(Position).decode
_decode_policy = msgspec.json.Decoder(PolicyEntry).decode
POSITION = POSITION_KEY.encode()
RESERVED = b"#"
"""Keys that begin so are no balances."""
_dimensions = lru_cache(maxsize=65_536)(parse_scope)


@dataclass(frozen=True, slots=True)
class SpendLine:
    """What one scope has spent in one window."""

    scope: str
    window: str
    balance: Balance


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One budget and one balance that it limits."""

    budget: Budget
    scope: str
    window: str
    balance: Balance
    limit_nanousd: int

    @property
    def utilization_bp(self) -> int:
        """Settled spending in basis points of the limit; a limit of zero is full."""
        return self.balance.settled_nanousd * 10_000 // self.limit_nanousd if self.limit_nanousd else 10_000

    @property
    def alerted_bp(self) -> int | None:
        """The highest alert threshold that was crossed in this window."""
        fired = (alert.rpartition(":") for alert in self.balance.fired)
        return max((int(threshold) for name, _, threshold in fired if name == self.budget.name), default=None)


class Board:
    """Every balance and policy in force. Pure: it is given records and, where windows matter, the time."""

    def __init__(self) -> None:
        self.policies: dict[str, CompiledPolicy] = {}
        self.entries: dict[str, PolicyEntry] = {}
        self.charges: dict[int, int] = {}
        """How many charges each ledger partition has posted so far."""
        self._scopes: defaultdict[str, dict[str, dict[str, Balance]]] = defaultdict(dict)

    def take(self, records: Mapping[tuple[TopicName, int], Sequence[Record]]) -> None:
        """Apply what came from the balances and policies changelogs."""
        for (name, partition), found in records.items():
            for record in found:
                if name == "policies":
                    self.put_policy(record.value)
                elif record.key == POSITION:
                    self.charges[partition] = _decode_position(record.value or b"").charges
                elif not (record.key or b"").startswith(RESERVED):
                    balance = None if record.value is None else _decode_balance(record.value)
                    self.put_balance((record.key or b"").decode(), balance)

    def put_balance(self, key: str, balance: Balance | None) -> None:
        """Replace the balance of a key; None removes it."""
        scope, label = split_key(key)
        windows = self._scopes[_dimensions(scope)["org"]].setdefault(scope, {})
        if balance is None:
            windows.pop(label, None)
        else:
            windows[label] = balance

    def put_policy(self, value: bytes | None) -> None:
        """Replace the policy of the organization that the entry names."""
        if value is None:
            return
        entry = _decode_policy(value)
        policy = Policy.model_validate(entry.policy)
        self.entries[entry.organization] = entry
        self.policies[entry.organization] = compiled_of(entry, policy)

    @property
    def organizations(self) -> list[str]:
        """Every organization that has spent anything or has a policy."""
        return sorted({*self._scopes, *self.policies})

    def policy(self, organization: str) -> CompiledPolicy:
        """The policy in force; one without budgets where none was applied."""
        return self.policies.get(organization) or CompiledPolicy.none(organization)

    def settled_nanousd(self, organization: str) -> int:
        """Everything the organization ever spent, by the aggregator's books: the sum over its months."""
        months = (balance for _, balance in self._of_level(organization, Level.ORGANIZATION, WindowKind.MONTH))
        return sum(balance.settled_nanousd for balance in months)

    def level_sums(self, organization: str) -> dict[tuple[Level, WindowKind], int]:
        """The same total as each level and window tells it, in nano-dollars."""
        kinds = (WindowKind.HOUR, WindowKind.DAY, WindowKind.MONTH)
        return {
            (level, kind): sum(balance.settled_nanousd for _, balance in self._of_level(organization, level, kind))
            for level in (Level.ORGANIZATION, Level.PROJECT, Level.TEAM, Level.USER)
            for kind in kinds
        }

    def spend(self, organization: str, level: Level, kind: WindowKind, now_ms: int) -> list[SpendLine]:
        """What every scope of a level has spent in the present window, most first."""
        label = window_at(kind, now_ms, self.policy(organization).zone).label
        lines = [
            SpendLine(scope, label, windows[label])
            for scope, windows in self._scopes[organization].items()
            if label in windows and level_of(scope) is level
        ]
        return sorted(lines, key=lambda line: (-line.balance.settled_nanousd, line.scope))

    def budgets(self, organization: str, now_ms: int) -> list[BudgetLine]:
        """Every budget with each balance that it limits in its present window, in the policy's order, fullest first."""
        policy = self.policy(organization)
        order = {budget.name: rank for rank, budget in enumerate(policy.budgets)}
        lines = [line for scope in self._scopes[organization] for line in self._limits(policy, scope, now_ms)]
        return sorted(lines, key=lambda line: (order[line.budget.name], -line.utilization_bp, line.scope))

    def _limits(self, policy: CompiledPolicy, scope: str, now_ms: int) -> Iterator[BudgetLine]:
        values = {name: value for name, value in _dimensions(scope).items() if name != "org"}
        for budget, matched in policy.matching(values):
            if matched == values:
                label = window_at(budget.window, now_ms, policy.zone).label
                balance = self._scopes[policy.organization][scope].get(label, Balance())
                yield BudgetLine(budget, scope, label, balance, budget.limit_at(now_ms))

    def _of_level(self, organization: str, level: Level, kind: WindowKind) -> Iterator[tuple[str, Balance]]:
        for scope, windows in self._scopes[organization].items():
            if level_of(scope) is level:
                yield from ((label, balance) for label, balance in windows.items() if label.startswith(f"{kind}:"))


async def follow(settings: Settings, board: Board) -> AsyncGenerator[bool, None]:
    """Keep the board up to date; gives, after each change, whether all that existed at the start has been read."""
    async with aclosing(tail(settings, ("balances", "policies"))) as batches:
        async for batch in batches:
            board.take(batch.records)
            yield batch.caught_up


async def read_board(settings: Settings) -> Board:
    """The board as the changelogs have it now, committed records only."""
    board = Board()
    async with aclosing(follow(settings, board)) as changes:
        async for caught_up in changes:
            if caught_up:
                break
    return board
