"""What a new budget's window holds already: wider windows are the sums of the narrower ones that always count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from services.core.balance import Balance, Tables, split_key
from services.core.policy import CompiledPolicy
from services.core.scope import Level, level_of, parse_scope
from services.core.window import Window, WindowKind, window_at, window_of_label

# Levels always count hours, days and months; these add up to every other calendar window but the minute.
BACKFILLED = {
    WindowKind.WEEK: WindowKind.DAY,
    WindowKind.QUARTER: WindowKind.MONTH,
    WindowKind.YEAR: WindowKind.MONTH,
    WindowKind.TOTAL: WindowKind.MONTH,
}


def backfill(tables: Tables, policy: CompiledPolicy, now_ms: int) -> Iterator[tuple[str, Balance]]:
    """Open the running window of each week, quarter, year or total budget on a level with what was spent in it so far.

    So a budget applied in the middle of its window counts the whole window. Budgets on other scopes (a model, a tag)
    count from the moment they are applied: nothing was kept of them before.
    """
    wanted = {
        (tuple(dimension for dimension, _ in budget.pattern), budget.window)
        for budget in policy.budgets
        if budget.window in BACKFILLED
    }
    for dimensions, kind in sorted(wanted):
        level = level_of(("org", *dimensions))
        if level is not Level.BUDGET:
            yield from _sums(tables, policy, level, window_at(kind, now_ms, policy.zone))


def _sums(tables: Tables, policy: CompiledPolicy, level: Level, window: Window) -> Iterator[tuple[str, Balance]]:
    source = f"{BACKFILLED[window.kind]}:"
    sums: defaultdict[str, Balance] = defaultdict(Balance)
    for key, balance in tables[level].items():
        scope, label = split_key(key)
        if label.startswith(source) and _within(label, window, policy) and _owner(scope) == policy.organization:
            total = sums[scope]
            total.settled_nanousd += balance.settled_nanousd
            total.requests += balance.requests
            total.unconfirmed_nanousd += balance.unconfirmed_nanousd
            total.unpriced += balance.unpriced
    for scope, total in sums.items():
        key = f"{scope}@{window.label}"
        opened = tables.open(level, key)
        opened.settled_nanousd = total.settled_nanousd
        opened.requests = total.requests
        opened.unconfirmed_nanousd = total.unconfirmed_nanousd
        opened.unpriced = total.unpriced
        yield key, opened


def _within(label: str, window: Window, policy: CompiledPolicy) -> bool:
    start_ms = window_of_label(label, policy.zone).start_ms
    return window.start_ms <= start_ms and (window.end_ms is None or start_ms < window.end_ms)


def _owner(scope: str) -> str:
    return parse_scope(scope)["org"]
