"""What the steward knows: policies with rules, where their budgets stand, and what is expected of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct
from pydantic import ValidationError

from schemas.policy import Policy
from services.core.balance import split_key
from services.core.effects import PolicyEntry
from services.core.escrow import Share, outstanding
from services.core.foresight_events import ForecastMade
from services.core.moving.need import Stand
from services.core.policy import ANY, Budget, CompiledPolicy, budget_scope
from services.core.state import compiled_of
from services.core.window import window_at

FORECASTS_MAX: Final = 200_000
"""How many forecasts are kept: those told last."""


class Figures(Struct, gc=False):
    """What of a balance a rule looks at."""

    settled_nanousd: int = 0
    offset: int = -1
    shares: dict[str, Share] = {}


@dataclass(frozen=True, slots=True)
class InForce:
    """An organization's policy: its entry, as it is written, and compiled with its moves."""

    entry: PolicyEntry
    written: Policy
    compiled: CompiledPolicy

    @property
    def looks(self) -> bool:
        """Whether something in it may ever want a move."""
        lent = any(move.until_ms is not None for move in self.entry.moves)
        return lent or bool(self.written.rules) or any(each.carry_over for each in self.written.budgets)

    def scopes(self) -> set[str]:
        """The scopes whose balances matter."""
        return {_scope(self.compiled, each) for each in self.compiled.budgets if _named(each)} if self.looks else set()


_decode_entry = msgspec.json.Decoder(PolicyEntry).decode
_decode_figures = msgspec.json.Decoder(Figures).decode
_decode_forecasts = msgspec.json.Decoder(list[ForecastMade]).decode


class Books:
    """Takes in what changelogs and forecasts say. Of what cannot be read, what was known before stays."""

    def __init__(self) -> None:
        self.policies: dict[str, InForce] = {}
        self._figures: dict[str, Figures] = {}
        self._expected: dict[str, tuple[int, int]] = {}

    def take_policy(self, value: bytes) -> None:
        """An entry of the policies changelog. Raises ValueError for one that cannot be read."""
        try:
            entry = _decode_entry(value)
            known = self.policies.get(entry.organization)
            if known is not None and known.entry.offset > entry.offset:
                return
            written = Policy.model_validate(entry.policy)
        except (msgspec.MsgspecError, ValidationError) as error:
            raise ValueError(str(error)) from error
        self.policies[entry.organization] = InForce(entry, written, compiled_of(entry, written))

    def looking(self) -> list[InForce]:
        """The policies that may want a move, by the names of their organizations."""
        return sorted((each for each in self.policies.values() if each.looks), key=lambda each: each.entry.organization)

    def scopes(self) -> frozenset[str]:
        """The scopes whose balances matter, of all organizations."""
        return frozenset().union(*(each.scopes() for each in self.policies.values()))

    def take_balance(self, key: str, value: bytes | None, scopes: frozenset[str]) -> None:
        """An entry of the balances changelog, if it is of one of these scopes. Raises ValueError."""
        if split_key(key)[0] not in scopes:
            return
        if value is None:
            self._figures.pop(key, None)
            return
        figures, known = _decode_figures(value), self._figures.get(key)
        if known is None or known.offset <= figures.offset:
            self._figures[key] = figures

    def take_forecasts(self, value: bytes) -> None:
        """A record of the forecasts topic; the latest of a scope and window holds. Raises ValueError."""
        for each in (event.data for event in _decode_forecasts(value)):
            key = f"{each.scope}@{each.window}"
            if self._expected.get(key, (0, 0))[0] <= each.made_at_ms:
                self._expected.pop(key, None)
                self._expected[key] = each.made_at_ms, each.total_nanousd
        while len(self._expected) > FORECASTS_MAX:
            del self._expected[next(iter(self._expected))]

    def stands(self, policy: CompiledPolicy, now_ms: int) -> dict[str, Stand]:
        """Where the budgets of a policy stand in their present windows, by name; none that limits each of many."""
        found = {}
        for budget in policy.budgets:
            if _named(budget):
                key = f"{_scope(policy, budget)}@{window_at(budget.window, now_ms, policy.zone).label}"
                figures, expected = self._figures.get(key, _NONE), self._expected.get(key)
                held = outstanding(figures.shares.values())
                found[budget.name] = Stand(figures.settled_nanousd, held, None if expected is None else expected[1])
        return found


_NONE = Figures()


def _named(budget: Budget) -> bool:
    return all(value != ANY for _, value in budget.pattern)


def _scope(policy: CompiledPolicy, budget: Budget) -> str:
    return budget_scope(policy.organization, dict(budget.pattern))
