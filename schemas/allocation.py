"""Allocation without overcommit: what children are given in a window may not add up to more than their parent has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from schemas.budget import EVERY, Budget
from schemas.problems import Problem

Limits = dict[str, Decimal]
ADVICE = "lower a child's limit, raise the parent's, or set allocation.overcommit to true"


def overcommitted(budgets: Iterable[Budget]) -> Iterator[Problem]:
    """Every parent, organization over project over team, whose children add up to more in the same window.

    A project without its own limit stands for the sum of its teams. `*` gives a limit to each child without saying
    how many there are, so it is compared with the parent one child at a time.
    """
    by_window: defaultdict[str, list[Budget]] = defaultdict(list)
    for budget in budgets:
        by_window[budget.window].append(budget)
    for window, members in by_window.items():
        yield from _overcommitted_in(window, members)


def _overcommitted_in(window: str, budgets: list[Budget]) -> Iterator[Problem]:
    organization = _tightest(budgets, ()).get(())
    projects = {project: limit for (project,), limit in _tightest(budgets, ("project",)).items()}
    teams: defaultdict[str, Limits] = defaultdict(dict)
    for (project, team), limit in _tightest(budgets, ("project", "team")).items():
        teams[project][team] = limit
    for project, children in teams.items():
        yield from _above(f"project {project!r}", projects.get(project, projects.get(EVERY)), children, "team", window)
        projects.setdefault(project, sum(_named(children).values(), Decimal()))
    yield from _above("the organization", organization, projects, "project", window)


def _tightest(budgets: Iterable[Budget], keys: tuple[str, ...]) -> Mapping[tuple[str, ...], Decimal]:
    limits: dict[tuple[str, ...], Decimal] = {}
    for budget in budgets:
        if budget.scope.keys() == set(keys):
            scope = tuple(budget.scope[key] for key in keys)
            limits[scope] = min(Decimal(budget.limit_usd), limits.get(scope, Decimal(budget.limit_usd)))
    return limits


def _above(parent: str, limit: Decimal | None, children: Limits, kind: str, window: str) -> Iterator[Problem]:
    if limit is None:
        return
    total = sum(_named(children).values(), Decimal())
    if total > limit:
        yield Problem("budgets", f"the {kind}s of {parent} add up to ${total} a {window}, above its ${limit}: {ADVICE}")
    if children.get(EVERY, limit) > limit:
        yield Problem(
            "budgets", f"each {kind} of {parent} gets ${children[EVERY]} a {window}, above its ${limit}: {ADVICE}"
        )


def _named(children: Limits) -> Limits:
    return {name: limit for name, limit in children.items() if name != EVERY}
