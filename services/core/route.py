"""Which balances one request counts toward: its levels, and the budgets whose scopes match it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from services.core.events import Dimensions
from services.core.policy import Budget, CompiledPolicy, budget_scope, dimension_values
from services.core.scope import TAG, Level, level_of, scope_key
from services.core.window import Window, WindowKind, window_at

ALWAYS_COUNTED = (WindowKind.HOUR, WindowKind.DAY, WindowKind.MONTH)
"""Windows in which every level counts, with a budget or without."""

# Every zone's offset since 1972 is a whole number of quarter hours, so no window but the minute ends inside one.
_QUARTER_HOUR_MS = 900_000
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Slot:
    """One balance that a request counts toward, and the budgets that limit it."""

    key: str
    level: Level
    scope: str
    window: Window
    budgets: tuple[Budget, ...]


class Routes:
    """The routes of one compiled policy. Pure: equal dimensions and instants give equal slots."""

    def __init__(self, policy: CompiledPolicy) -> None:
        self.policy = policy
        minute = any(budget.window is WindowKind.MINUTE for budget in policy.budgets)
        self.bucket_ms = _MINUTE_MS if minute else _QUARTER_HOUR_MS
        """All instants of one bucket (`at_ms // bucket_ms`) have the same slots, so callers may cache by bucket."""
        self._attributes = [name for name in policy.named if not name.startswith(TAG)]
        self._tags = [name.removeprefix(TAG) for name in policy.named if name.startswith(TAG)]

    def cache_key(self, dimensions: Dimensions, at_ms: int) -> tuple[object, ...]:
        """What tells apart requests with different slots: cheap enough to compute for every request."""
        key = at_ms // self.bucket_ms, dimensions.project, dimensions.team, dimensions.user
        if not self._attributes and not self._tags:
            return key
        tags = dimensions.tags
        return (
            *key,
            *[getattr(dimensions, name) for name in self._attributes],
            *[tags.get(name) for name in self._tags],
        )

    def slots(self, dimensions: Dimensions, at_ms: int) -> tuple[Slot, ...]:
        """Every balance that a request at `at_ms` counts toward, levels first, each key once."""
        counted: defaultdict[str, dict[WindowKind, list[Budget]]] = defaultdict(dict)
        for scope in level_scopes(dimensions):
            for kind in ALWAYS_COUNTED:
                counted[scope][kind] = []
        for budget, matched in self.policy.matching(dimension_values(dimensions)):
            scope = budget_scope(self.policy.organization, matched)
            counted[scope].setdefault(budget.window, []).append(budget)
        return tuple(
            slot_of(scope, window_at(kind, at_ms, self.policy.zone), budgets)
            for scope, kinds in counted.items()
            for kind, budgets in kinds.items()
        )


def slot_of(scope: str, window: Window, budgets: Iterable[Budget] = ()) -> Slot:
    """The slot of a scope in a window."""
    return Slot(
        key=f"{scope}@{window.label}", level=level_of(scope), scope=scope, window=window, budgets=tuple(budgets)
    )


def level_scopes(dimensions: Dimensions) -> list[str]:
    """The scopes of the levels a request names: a team counts in its project, a user in the organization."""
    organization = {"org": dimensions.organization}
    scopes = [scope_key(organization)]
    if dimensions.project is not None:
        scopes.append(scope_key(organization | {"project": dimensions.project}))
        if dimensions.team is not None:
            scopes.append(scope_key(organization | {"project": dimensions.project, "team": dimensions.team}))
    if dimensions.user is not None:
        scopes.append(scope_key(organization | {"user": dimensions.user}))
    return scopes
