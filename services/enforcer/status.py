"""What a scope has spent and may still spend, in every window of now."""

from __future__ import annotations

from services.core.decision import LedgerPosition
from services.core.events import from_ms
from services.core.explain import utilization
from services.core.judge import tier_name
from services.core.money import format_usd
from services.core.policy import Budget
from services.core.scope import level_of, parse_scope, scope_key
from services.core.standing import Limits, Standing
from services.core.window import Window, WindowKind, window_at
from services.enforcer.answers import BudgetStatus, Status, WindowStatus
from services.enforcer.engine import Engine
from services.enforcer.errors import Restoring

_NOTHING = Standing()


def status_of(engine: Engine, scope_text: str, now_ms: int, *, reached: bool) -> Status:
    """The status of a scope, its budgets and balances as they are now. Raises `ScopeError` and `Restoring`."""
    if not engine.standings.restored:
        raise Restoring
    dimensions = parse_scope(scope_text)
    scope = scope_key(dimensions)
    organization = engine.directory.organization(dimensions["org"])
    budgets = organization.policy.on(dimensions)
    return Status(
        scope=scope,
        level=level_of(dimensions),
        organization=dimensions["org"],
        policy_version=organization.policy.version,
        windows=[
            _window(found, standing or _NOTHING, [b for b in budgets if b.window is kind], now_ms)
            for kind in WindowKind
            for found in [window_at(kind, now_ms, organization.policy.zone)]
            for standing in [engine.standings.find(f"{scope}@{found.label}")]
            if standing is not None or any(budget.window is kind for budget in budgets)
        ],
        ledger=LedgerPosition(partition=organization.partition, offset=engine.standings.offset(organization.partition)),
        reached=reached,
        as_of=from_ms(now_ms),
    )


def _window(window: Window, standing: Standing, budgets: list[Budget], now_ms: int) -> WindowStatus:
    return WindowStatus(
        window=window.label,
        starts_at=from_ms(window.start_ms),
        ends_at=None if window.end_ms is None else from_ms(window.end_ms),
        settled_usd=format_usd(standing.spent_nanousd),
        pending_usd=format_usd(standing.pending_nanousd),
        reserved_usd=format_usd(standing.held_nanousd),
        unconfirmed_usd=format_usd(standing.unconfirmed_nanousd),
        requests=standing.requests,
        unpriced=standing.unpriced,
        budgets=[_budget(budget, standing, now_ms) for budget in budgets],
    )


def _budget(budget: Budget, standing: Standing, now_ms: int) -> BudgetStatus:
    limits = Limits.of(budget, now_ms)
    used = standing.spent_nanousd + standing.held_nanousd
    return BudgetStatus(
        budget=budget.name,
        limit_usd=format_usd(limits.limit_nanousd),
        remaining_usd=format_usd(limits.limit_nanousd - used),
        utilization=utilization(used, limits.limit_nanousd),
        tier=tier_name(limits, used),
        on_hard=budget.on_hard,
    )
