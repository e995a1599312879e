"""What a PromQL expression asks for, found in the syntax tree of Prometheus' own grammar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser

GRAFANA = {"$__rate_interval": "5m", "$__range": "6h", "$__interval": "1m"}
"""What Grafana puts in place of its variables."""


class Asked:
    """The metrics of an expression, and the labels by which each is chosen or grouped."""

    def __init__(self, expr: str) -> None:
        for variable, value in GRAFANA.items():
            expr = expr.replace(variable, value)
        self.tree = promql_parser.parse(expr)
        self.metrics: set[str] = set()
        self.labels: set[str] = set()
        for node in _nodes(self.tree):
            if isinstance(node, promql_parser.VectorSelector):
                self.metrics.add(node.name)
                self.labels |= {matcher.name for matcher in node.matchers.matchers}
            elif isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
                self.labels |= set(node.modifier.labels)


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        if (child := getattr(node, name, None)) is not None:
            yield from _nodes(child)
    for child in getattr(node, "args", ()):
        yield from _nodes(child)
