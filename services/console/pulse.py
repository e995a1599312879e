"""How fast money goes: the charges of the last hour in small buckets of time, by scope and by model. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.core.events import Dimensions
from services.core.outcomes import Charge
from services.core.route import level_scopes
from services.core.scope import scope_key

HOUR_MS: Final = 3_600_000
TICK_MS: Final = 10_000
MINUTE_MS: Final = 60_000
OTHER: Final = "other models"
ALL: Final = ""
"""The ring of a scope that counts every model."""

_SCOPES_MAX: Final = 5_000
_MODELS_MAX: Final = 40
_SWEEP_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Flow:
    """What was charged in a stretch of time, in nano-dollars."""

    cost_nanousd: int = 0
    requests: int = 0


class Ring:
    """Sums of one hour, by tick. Ticks without a charge take no memory."""

    __slots__ = ("_ticks", "_width_ms")

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self._ticks: dict[int, list[int]] = {}

    def add(self, at_ms: int, cost_nanousd: int, requests: int) -> None:
        """Count a charge."""
        tick = self._ticks.setdefault(at_ms // self._width_ms, [0, 0])
        tick[0] += cost_nanousd
        tick[1] += requests

    def forget(self, before_ms: int) -> bool:
        """Drop what is older; whether nothing is left."""
        oldest = before_ms // self._width_ms
        for tick in [tick for tick in self._ticks if tick < oldest]:
            del self._ticks[tick]
        return not self._ticks

    def total(self, now_ms: int, within_ms: int) -> Flow:
        """The sum of the last `within_ms`, to the width of a tick."""
        oldest, newest = (now_ms - within_ms) // self._width_ms, now_ms // self._width_ms
        found = [sums for tick, sums in self._ticks.items() if oldest < tick <= newest]
        return Flow(sum(cost for cost, _ in found), sum(requests for _, requests in found))

    def series(self, now_ms: int, step_ms: int, steps: int) -> list[int]:
        """Nano-dollars in each of the last steps, oldest first; the last one is still filling."""
        last = now_ms // step_ms
        sums = [0] * steps
        for tick, (cost, _) in self._ticks.items():
            place = steps - 1 - (last - tick * self._width_ms // step_ms)
            if 0 <= place < steps:
                sums[place] += cost
        return sums


class Pulse:
    """The last hour of charges of organizations, projects and teams."""

    def __init__(self) -> None:
        self._rings: dict[str, dict[str, Ring]] = {}
        self._sequence: dict[int, int] = {}
        self._swept_ms = 0

    def take(self, charge: Charge) -> bool:
        """Count a charge, once: what is read again is known by its number. Whether it was new."""
        if charge.sequence <= self._sequence.get(charge.ledger_partition, 0):
            return False
        self._sequence[charge.ledger_partition] = charge.sequence
        cost, requests, at_ms = charge.cost_nanousd or 0, charge.requests, charge.recorded_at_ms
        for scope in _scopes(charge):
            rings = self._rings.get(scope)
            if rings is None:
                if len(self._rings) >= _SCOPES_MAX:
                    continue
                rings = self._rings[scope] = {ALL: Ring(TICK_MS)}
            rings[ALL].add(at_ms, cost, requests)
            model = charge.model if charge.model in rings or len(rings) < _MODELS_MAX else OTHER
            rings.setdefault(model, Ring(MINUTE_MS)).add(at_ms, cost, requests)
        return True

    def forget(self, now_ms: int) -> None:
        """Drop what is more than an hour old, at most once a minute."""
        if now_ms - self._swept_ms < _SWEEP_MS:
            return
        self._swept_ms = now_ms
        for scope, rings in list(self._rings.items()):
            for model, ring in list(rings.items()):
                if ring.forget(now_ms - HOUR_MS) and model != ALL:
                    del rings[model]
            if rings[ALL].forget(now_ms - HOUR_MS):
                del self._rings[scope]

    def flow(self, scope: str, now_ms: int, within_ms: int) -> Flow:
        """What was charged to a scope lately."""
        rings = self._rings.get(scope)
        return Flow() if rings is None else rings[ALL].total(now_ms, within_ms)

    def minutes(self, scope: str, now_ms: int) -> list[int]:
        """Nano-dollars in each of the last sixty minutes, oldest first."""
        rings = self._rings.get(scope)
        return [0] * 60 if rings is None else rings[ALL].series(now_ms, MINUTE_MS, 60)

    def models(self, scope: str, now_ms: int) -> Iterator[tuple[str, Flow]]:
        """What each model cost in the last hour; models without a charge are left out."""
        for model, ring in self._rings.get(scope, {}).items():
            if model != ALL:
                flow = ring.total(now_ms, HOUR_MS)
                if flow.requests or flow.cost_nanousd:
                    yield model, flow


def _scopes(charge: Charge) -> list[str]:
    whose = Dimensions(organization=charge.organization, project=charge.project, team=charge.team, model=charge.model)
    return level_scopes(whose)


def organization_scope(organization: str) -> str:
    """The scope of a whole organization."""
    return scope_key({"org": organization})
