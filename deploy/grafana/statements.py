"""Every question that the dashboards put to ClickHouse, as it reaches the engine: what tests run and benches time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from deploy.grafana.boards import ALL
from deploy.grafana.macros import Picked, expand
from deploy.grafana.model import Dashboard, Sql


class Statement(NamedTuple):
    """One query: `spendgate-overview: Spend by project`, or `spendgate-overview: $project` of a variable."""

    name: str
    sql: str


def statements(picked: Picked, boards: Iterable[Dashboard] = ALL) -> list[Statement]:
    """The queries of all panels and variables, expanded as Grafana and its plugin would for what a viewer picked.

    `picked` needs a value, several or None (all) for each of `organization`, `project`, `tag`, `scope`, `period`,
    `budget` and `zone`. Raises `macros.MacroError`.
    """
    return [Statement(name, expand(text, picked)) for name, text in _texts(boards)]


def _texts(boards: Iterable[Dashboard]) -> Iterator[tuple[str, str]]:
    for board in boards:
        for variable in board.variables:
            if variable.query:
                yield f"{board.uid}: ${variable.name}", variable.query
        for panel in board.panels():
            for target in panel.targets:
                if isinstance(target, Sql):
                    yield f"{board.uid}: {panel.title}", target.text
