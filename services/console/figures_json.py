"""The live figures of an organization for programs: one entry a scope and a budget, amounts as decimals. Pure."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from services.console import figures
from services.console.board import Board
from services.console.books import Limit
from services.console.pulse import organization_scope
from services.core.explain import utilization
from services.core.money import format_usd

USERS_MAX: Final = 100
BUDGETS_MAX: Final = 1_000


class ScopeFigures(Struct, frozen=True, kw_only=True, tag_field="is", tag="scope"):
    """What a scope has spent in its present day and month; unpriced requests are not in the amounts."""

    scope: str
    today_usd: str
    month_usd: str
    requests_today: int
    unpriced_today: int
    unconfirmed_today_usd: str


class BudgetFigures(Struct, frozen=True, kw_only=True, tag_field="is", tag="budget"):
    """A budget in force on one scope; `limit_usd` with its schedule and boosts as they are now.

    `reserved_usd` is what enforcers hold, reserved for requests or ready to be; `utilization` is of both, as in status.
    """

    budget: str
    scope: str
    window: str
    settled_usd: str
    reserved_usd: str
    limit_usd: str
    utilization: float | None
    tier: str


def figures_of(board: Board, organization: str, now_ms: int) -> dict[str, bytes]:
    """Everything live of one organization as JSON, by a name that stays the same."""
    scope = organization_scope(organization)
    spends = [figures.spend_of(board, scope, now_ms, charted=False)]
    for project in figures.children_of(board, scope, now_ms):
        spends += [project, *figures.children_of(board, project.scope, now_ms)]
    spends += figures.users_of(board, organization, now_ms, most=USERS_MAX).rows
    limits = figures.limits_of(board, [organization], now_ms, most=BUDGETS_MAX)
    return {
        **{spend.scope: msgspec.json.encode(_scope(spend)) for spend in spends},
        **{f"{limit.budget.name}@{limit.scope}": msgspec.json.encode(_budget(limit)) for limit in limits},
    }


def _scope(spend: figures.Spend) -> ScopeFigures:
    return ScopeFigures(
        scope=spend.scope,
        today_usd=format_usd(spend.today.settled_nanousd),
        month_usd=format_usd(spend.month.settled_nanousd),
        requests_today=spend.today.requests,
        unpriced_today=spend.today.unpriced,
        unconfirmed_today_usd=format_usd(spend.today.unconfirmed_nanousd),
    )


def _budget(limit: Limit) -> BudgetFigures:
    settled, reserved = limit.amount.settled_nanousd, limit.amount.reserved_nanousd
    return BudgetFigures(
        budget=limit.budget.name,
        scope=limit.scope,
        window=limit.window.label,
        settled_usd=format_usd(settled),
        reserved_usd=format_usd(reserved),
        limit_usd=format_usd(limit.limit_nanousd),
        utilization=utilization(settled + reserved, limit.limit_nanousd),
        tier=limit.tier,
    )
