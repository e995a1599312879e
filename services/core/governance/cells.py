"""Spending by everything that budgets tell apart, and what each budget was used for: the policy's own matching."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from msgspec import Struct

from schemas.policy import Policy
from services.core.governance.shares import share_bp
from services.core.policy import ANY, Budget, CompiledPolicy
from services.core.scope import TAG, scope_key
from services.core.window import WindowKind, window_at

ROWS_MAX = 10
"""Of a budget on each user (`*`), so many are shown, the fullest first."""

SUMMED = tuple(kind for kind in WindowKind if kind is not WindowKind.MINUTE)
"""Windows whose use is added up afterwards; a minute is too short to be reported on."""


Target: TypeAlias = tuple[WindowKind, tuple[str, ...]]
"""A kind of window, and the dimensions that are counted together."""

Scopes: TypeAlias = dict[str, dict[int, list[int]]]
"""By scope and window: what was spent, and how many requests are unpriced."""


class Cell(Struct, frozen=True, kw_only=True, gc=False):
    """Spending in one window; a name is empty where there is none, or where no budget asks for it."""

    window_ms: int
    project: str
    team: str
    user: str
    provider: str
    model: str
    tags: dict[str, str]
    cost_nanousd: int
    requests: int
    unpriced: int

    def values(self) -> dict[str, str]:
        """The dimensions by the names that scopes use."""
        names = ("project", "team", "user", "provider", "model")
        found = {name: value for name in names if (value := getattr(self, name))}
        return found | {f"{TAG}{key}": value for key, value in self.tags.items()}


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """How far one balance of a budget was used in the window in which it was used most.

    `windows_over`: how many windows of the period reached the limit. `others` scopes of the same budget are not shown.
    """

    budget: str
    scope: str
    window: str
    limit_nanousd: int
    spent_nanousd: int
    unpriced: int
    windows: int
    windows_over: int
    soft_bp: int
    blocks: bool
    varies: bool
    owners: tuple[str, ...]
    others: int = 0

    @property
    def utilization_bp(self) -> int:
        """Spending in basis points of the limit; a limit of zero is full."""
        return share_bp(self.spent_nanousd, self.limit_nanousd) if self.limit_nanousd else 10_000


def target_of(budget: Budget) -> Target:
    """What a budget's spending is added up by: budgets of different targets never replace one another."""
    return budget.window, tuple(dimension for dimension, _ in budget.pattern)


def budget_uses(
    policy: CompiledPolicy, cells: Mapping[Target, Iterable[Cell]], owners: Mapping[str, tuple[str, ...]]
) -> tuple[BudgetUse, ...]:
    """The use of each budget, in the policy's order, by the cells of its target.

    A request counts toward the budgets that it would be decided by: `CompiledPolicy.matching` says which.
    """
    spent: dict[str, Scopes] = {budget.name: {} for budget in policy.budgets}
    for target, found in cells.items():
        _add_up(replace(policy, budgets=tuple(b for b in policy.budgets if target_of(b) == target)), found, spent)
    return tuple(
        use
        for budget in policy.budgets
        if budget.window in SUMMED
        for use in _uses(policy, budget, spent[budget.name], owners.get(budget.name, ()))
    )


def _add_up(policy: CompiledPolicy, cells: Iterable[Cell], spent: Mapping[str, Scopes]) -> None:
    for cell in cells:
        for budget, matched in policy.matching(cell.values()):
            scope = scope_key({"org": policy.organization, **matched})
            counter = spent[budget.name].setdefault(scope, {}).setdefault(cell.window_ms, [0, 0])
            counter[0] += cell.cost_nanousd
            counter[1] += cell.unpriced


def _uses(policy: CompiledPolicy, budget: Budget, scopes: Scopes, owners: tuple[str, ...]) -> list[BudgetUse]:
    if not scopes:
        scopes = {_written_scope(policy, budget): {}}
    uses = [_use(policy, budget, scope, windows, owners) for scope, windows in scopes.items()]
    uses.sort(key=lambda use: (-use.spent_nanousd, use.scope))
    shown, hidden = uses[:ROWS_MAX], uses[ROWS_MAX:]
    return [*shown[:-1], replace(shown[-1], others=len(hidden))]


def _moved(policy: CompiledPolicy, budget: Budget, begin_ms: int) -> int:
    """What moves had given the budget, or taken, when a window was about to end: before anything was carried over."""
    if not budget.shifts:
        return 0
    latest_ms, _ = budget.shifts[0]
    end_ms = window_at(budget.window, begin_ms, policy.zone).end_ms
    return budget.moved_at(latest_ms if end_ms is None else end_ms - 2)


def _use(
    policy: CompiledPolicy, budget: Budget, scope: str, windows: Mapping[int, list[int]], owners: tuple[str, ...]
) -> BudgetUse:
    begin_ms, (spent, unpriced) = max(windows.items(), key=lambda found: (found[1][0], -found[0]), default=(0, (0, 0)))
    boosted = sum(boost.amount_nanousd for boost in budget.boosts if boost.until_ms > begin_ms)
    limit = max(0, budget.limit_nanousd + boosted + _moved(policy, budget, begin_ms))
    return BudgetUse(
        budget=budget.name,
        scope=scope,
        window=window_at(budget.window, begin_ms, policy.zone).label if windows else str(budget.window),
        limit_nanousd=limit,
        spent_nanousd=spent,
        unpriced=unpriced,
        windows=len(windows),
        windows_over=sum(amount >= limit for amount, _ in windows.values()),
        soft_bp=budget.tiers.soft_bp,
        blocks=budget.on_hard == "deny",
        varies=budget.varies,
        owners=owners,
    )


def _written_scope(policy: CompiledPolicy, budget: Budget) -> str:
    return scope_key({"org": policy.organization, **dict(budget.pattern)})


def owners_of(policy: Policy) -> dict[str, tuple[str, ...]]:
    """Who answers for each budget: its owner, then whom its contacts name, those of `*` last, without secrets."""
    named: dict[str, dict[str, None]] = {
        budget.name: {} if budget.owner is None else {budget.owner: None} for budget in policy.budgets
    }
    for contact in sorted(policy.contacts, key=lambda contact: contact.budget == ANY):
        people = {owner_text(channel): None for channel in (*contact.notify, *contact.to)}
        for name in named if contact.budget == ANY else (contact.budget,):
            named[name] |= people
    return {name: tuple(people) for name, people in named.items()}


def owner_text(channel: str) -> str:
    """Who a channel reaches: an address of mail, else the kind and host, for paths of webhooks are secrets."""
    kind, _, rest = channel.partition(":")
    if kind == "mailto":
        return rest.partition("?")[0]
    host = rest.lstrip("/").partition("/")[0].partition("?")[0].rpartition("@")[2]
    return f"{kind}://{host}"
