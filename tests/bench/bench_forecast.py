"""Forecasts of a thousand scopes: seconds and memory of the projections, and of making a hierarchy add up."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from datetime import date, timedelta
from time import perf_counter
from typing import Any

import numpy as np

from services.core.forecast import DailySeries, project, reconcile

PROJECTS = 10
TEAMS = 100
USERS = 900
HISTORY_DAYS = 182
BEGIN = date(2026, 10, 1)
END = date(2026, 11, 1)
AS_OF = date(2026, 10, 11)
ROUNDS = 3


def measure() -> dict[str, dict[str, Any]]:
    """`forecast_1011_scopes`: seconds, the best of three; its memory is the peak above what was there before."""
    series, parents = hierarchy()
    seconds, made = _best(lambda: project(series, begin=BEGIN, end=END, as_of=AS_OF))
    reconcile_seconds, _ = _best(lambda: reconcile(made, parents))
    del made
    tracemalloc.start()
    made = project(series, begin=BEGIN, end=END, as_of=AS_OF)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    name = f"forecast_{len(series)}_scopes"
    return {
        name: {"value": seconds, "unit": "s"},
        f"{name}_memory": {"value": peak / 1e6, "unit": "MB"},
        f"{name}_reconciled": {"value": reconcile_seconds, "unit": "s"},
    }


def hierarchy(seed: int = 1) -> tuple[list[DailySeries], dict[str, str]]:
    """An organization of 10 projects, 100 teams and 900 users: half a year of days; sums of teams and users agree."""
    random = np.random.default_rng(seed)
    week = np.resize([1.0, 1.1, 1.1, 1.0, 0.9, 0.3, 0.2], HISTORY_DAYS)
    users = (
        random.gamma(1.5, 2e9, (USERS, HISTORY_DAYS)) * week * (random.random((USERS, HISTORY_DAYS)) < 0.7)
    ).astype(np.int64)
    teams = np.add.reduceat(users, np.arange(0, USERS, USERS // TEAMS))
    projects = np.add.reduceat(teams, np.arange(0, TEAMS, TEAMS // PROJECTS))
    rows = {"org:acme": users.sum(axis=0)}
    parents = {}
    for index, amounts in enumerate(projects):
        rows[f"org:acme/project:p{index}"] = amounts
        parents[f"org:acme/project:p{index}"] = "org:acme"
    for index, amounts in enumerate(teams):
        project_name = f"org:acme/project:p{index * PROJECTS // TEAMS}"
        rows[f"{project_name}/team:t{index}"] = amounts
        parents[f"{project_name}/team:t{index}"] = project_name
    for index, amounts in enumerate(users):
        rows[f"org:acme/user:u{index}"] = amounts
        parents[f"org:acme/user:u{index}"] = "org:acme"
    first = AS_OF - timedelta(HISTORY_DAYS)
    return [DailySeries(scope, first, amounts) for scope, amounts in rows.items()], parents


def _best(work: Callable[[], Any]) -> tuple[float, Any]:
    best, made = float("inf"), None
    for _ in range(ROUNDS):
        start = perf_counter()
        made = work()
        best = min(best, perf_counter() - start)
    return best, made


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
