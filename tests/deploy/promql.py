"""What a PromQL expression asks for, found in the syntax tree of Prometheus' own grammar."""

from __future__ import annotations

import promql_parser

GRAFANA = {"$__rate_interval": "5m", "$__range": "6h", "$__interval": "1m"}
"""What Grafana puts in place of its variables."""


class Asked:
    """The metrics of an expression, and the labels by which each is chosen or grouped."""

    def __init__(self, expr: str) -> None:
        for variable, value in GRAFANA.items():
            expr = expr.replace(variable, value)
        self.metrics: set[str] = set()
        self.labels: set[str] = set()
        promql_parser.walk(promql_parser.parse(expr), self._visit)

    def _visit(self, node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name is not None, "a selector without a metric's name reads every series there is"
            self.metrics.add(node.name)
            self.labels |= {matcher.name for matcher in node.matchers.matchers}
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            self.labels |= set(node.modifier.labels)
