"""The figures of a page: what a scope spends and may spend, as of an instant. Pure functions of the board."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Final

from services.console.board import Board
from services.console.books import Amount, Book, Limit, dimensions_of
from services.console.places import organization_of, path_of, short_name
from services.console.pulse import HOUR_MS, MINUTE_MS, Flow, organization_scope
from services.core.scope import Level, level_of
from services.core.window import WindowKind

ROWS: Final = 12
"""Rows that a list shows before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class Spend:
    """What a scope has spent: in the present windows, and how fast lately. Money in nano-dollars."""

    scope: str
    name: str
    path: str | None
    today: Amount
    month: Amount
    hour: Amount
    minute: Flow
    last_hour: Flow
    minutes: tuple[int, ...] = ()
    fullest: Limit | None = None

    @property
    def cost_per_request_nanousd(self) -> int | None:
        """The mean cost of today's requests; None without any."""
        return self.today.settled_nanousd // self.today.requests if self.today.requests else None


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What one model cost in the last hour, and its share of that hour in basis points."""

    model: str
    flow: Flow
    share_bp: int

    @property
    def cost_per_request_nanousd(self) -> int | None:
        """The mean cost of a request; None without any."""
        return self.flow.cost_nanousd // self.flow.requests if self.flow.requests else None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The largest of a list, and how many more there are."""

    rows: tuple[Spend, ...]
    more: int


def spend_of(board: Board, scope: str, now_ms: int, *, charted: bool = True) -> Spend:
    """The figures of one scope. Without `charted`, its last hour minute by minute is left out."""
    book = board.book(organization_of(scope))
    hour, day, month = (book.window(kind, now_ms) for kind in (WindowKind.HOUR, WindowKind.DAY, WindowKind.MONTH))
    return Spend(
        scope=scope,
        name=short_name(scope),
        path=path_of(scope),
        today=book.amount(scope, day),
        month=book.amount(scope, month),
        hour=book.amount(scope, hour),
        minute=board.pulse.flow(scope, now_ms, MINUTE_MS),
        last_hour=board.pulse.flow(scope, now_ms, HOUR_MS),
        minutes=tuple(board.pulse.minutes(scope, now_ms)) if charted else (),
        fullest=max(book.limits_on(scope, now_ms), key=_fullness, default=None),
    )


def total_of(spends: Sequence[Spend]) -> Spend:
    """Several organizations together, each in the windows of its own time zone."""
    minutes = tuple(map(sum, zip(*(spend.minutes for spend in spends), strict=True)))
    return Spend(
        scope="",
        name="all organizations",
        path="/",
        today=_sum(spend.today for spend in spends),
        month=_sum(spend.month for spend in spends),
        hour=_sum(spend.hour for spend in spends),
        minute=_flow_sum(spend.minute for spend in spends),
        last_hour=_flow_sum(spend.last_hour for spend in spends),
        minutes=minutes or (0,) * 60,
    )


def children_of(board: Board, scope: str, now_ms: int) -> Iterator[Spend]:
    """The projects of an organization, or the teams of a project; the largest month first."""
    level = {Level.ORGANIZATION: Level.PROJECT, Level.PROJECT: Level.TEAM}.get(level_of(scope))
    if level is None:
        return
    book = board.book(organization_of(scope))
    inside = [child for child in book.of_level(level) if child.startswith(f"{scope}/")]
    spends = [spend_of(board, child, now_ms) for child in inside]
    yield from sorted(spends, key=lambda spend: (-spend.month.settled_nanousd, spend.name))


def users_of(board: Board, organization: str, now_ms: int, most: int = ROWS) -> Ranking:
    """The users of an organization who spent most today."""
    book = board.book(organization)
    day = book.window(WindowKind.DAY, now_ms)
    spenders = [(book.amount(user, day).settled_nanousd, user) for user in book.of_level(Level.USER)]
    active = [found for found in spenders if found[0]]
    rows = [spend_of(board, user, now_ms, charted=False) for _, user in nlargest(most, active)]
    return Ranking(tuple(rows), max(0, len(active) - most))


def limits_of(board: Board, organizations: Iterable[str], now_ms: int, most: int | None = None) -> list[Limit]:
    """The budgets of organizations that are in force, the fullest first."""
    limits = [limit for name in organizations for limit in board.book(name).limits(now_ms)]
    limits.sort(key=_fullest_first)
    return limits if most is None else limits[:most]


def limits_within(book: Book, scope: str, now_ms: int) -> list[Limit]:
    """The budgets of a scope and of all that is inside it, the fullest first; users count as their organization's."""
    inside = [limit for limit in book.limits(now_ms) if limit.scope == scope or limit.scope.startswith(f"{scope}/")]
    return sorted(inside, key=_fullest_first)


def models_of(board: Board, scopes: Iterable[str], now_ms: int, most: int = 8) -> list[ModelUse]:
    """What the models of the last hour cost in these scopes together, the dearest first."""
    flows: dict[str, Flow] = {}
    for scope in scopes:
        for model, flow in board.pulse.models(scope, now_ms):
            flows[model] = _flow_sum((flows.get(model, Flow()), flow))
    total = sum(flow.cost_nanousd for flow in flows.values())
    ordered = sorted(flows.items(), key=lambda found: (-found[1].cost_nanousd, found[0]))
    head, tail = ordered[:most], ordered[most:]
    if tail:
        head.append((f"{len(tail)} more", _flow_sum(flow for _, flow in tail)))
    return [ModelUse(model, flow, flow.cost_nanousd * 10_000 // total if total > 0 else 0) for model, flow in head]


def overview_rows(board: Board, organization: str, now_ms: int) -> list[tuple[Spend, list[Spend]]]:
    """Each project of an organization with its teams; the largest month first."""
    projects = children_of(board, organization_scope(organization), now_ms)
    return [(project, list(children_of(board, project.scope, now_ms))) for project in projects]


def is_inside(scope: str, of: str) -> bool:
    """Whether a scope is another one or a part of it."""
    values = dimensions_of(scope)
    return all(values.get(name) == value for name, value in dimensions_of(of).items())


def _fullness(limit: Limit) -> tuple[int, int]:
    return limit.used_bp, limit.amount.settled_nanousd


def _fullest_first(limit: Limit) -> tuple[int, str, str]:
    return -limit.used_bp, limit.scope, limit.budget.name


def _sum(amounts: Iterable[Amount]) -> Amount:
    total = Amount()
    for amount in amounts:
        total.settled_nanousd += amount.settled_nanousd
        total.requests += amount.requests
        total.unconfirmed_nanousd += amount.unconfirmed_nanousd
        total.unpriced += amount.unpriced
    return total


def _flow_sum(flows: Iterable[Flow]) -> Flow:
    found = list(flows)
    return Flow(sum(flow.cost_nanousd for flow in found), sum(flow.requests for flow in found))
