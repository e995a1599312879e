"""Projections of a hierarchy made to add up: children to their parent, to the nano-dollar."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.core.forecast.projection import FanPoint, Projection


def reconcile(projections: Sequence[Projection], parents: Mapping[str, str]) -> list[Projection]:
    """The same projections, in their order, with totals that agree with one another.

    `parents` names the parent of a scope; a scope without one, or whose parent is not among the projections, stands for
    itself. Every parent's total is weighed against the sum of its children, each by how sure it is; then the
    difference is shared out among them, by how unsure they are. Children of different kinds (projects and users of an
    organization) are different divisions of the same money, and each adds up. Where the children's past falls short of
    the parent's, what nobody owns goes on in proportion. Raises ValueError for a circle or different windows.
    """
    if len({(each.begin, each.end, each.as_of) for each in projections}) > 1:
        raise ValueError("only projections of one window, made at the same time, can add up")
    nodes = {each.scope: _Node(each) for each in projections}
    roots = _link(nodes, parents)
    order = _downwards(roots)
    if len(order) != len(nodes):
        raise ValueError("scopes are their own ancestors")
    for node in reversed(order):
        node.weigh()
    for node in order:
        node.share()
    return [nodes[each.scope].settled() for each in projections]


@dataclass(slots=True)
class _Node:
    """A projection among its children. Until it is settled, `expected` is the best guess of what is still to come."""

    projection: Projection
    divisions: dict[str, list[_Node]] = field(default_factory=lambda: defaultdict(list))
    expected: float = 0.0
    variance: float = 0.0
    remaining_nanousd: int = 0

    def weigh(self) -> None:
        """Own forecast and sums of children as one, each weighed by its certainty: children first."""
        own = self.projection
        self.expected, self.variance = float(own.remaining_nanousd), _variance(own)
        for children in self.divisions.values():
            owned = self._owned(children)
            if owned <= 0.0:
                continue
            variance = sum(child.variance for child in children) / owned**2
            trust = self.variance / (self.variance + variance) if self.variance + variance else 0.0
            self.expected += trust * (sum(child.expected for child in children) / owned - self.expected)
            self.variance *= 1.0 - trust
        self.remaining_nanousd = round(self.expected)

    def share(self) -> None:
        """What is still to come of this scope, cut into whole nano-dollars for its children: parents first."""
        for children in self.divisions.values():
            owned = self._owned(children)
            whole = round(self.remaining_nanousd * owned) if owned < 1.0 else self.remaining_nanousd
            for child, nanos in zip(children, _cut(whole, _wanted(children, whole)), strict=True):
                child.remaining_nanousd = nanos

    def settled(self) -> Projection:
        """The projection with its new total, its distribution stretched to it."""
        return _stretched(self.projection, self.remaining_nanousd)

    def _owned(self, children: Sequence[_Node]) -> float:
        """The share of this scope's spending that its children of one kind account for."""
        spent = self.projection.spent_nanousd
        if spent <= 0:
            return 1.0
        return min(1.0, max(0.0, sum(child.projection.spent_nanousd for child in children) / spent))


def _link(nodes: Mapping[str, _Node], parents: Mapping[str, str]) -> list[_Node]:
    roots = []
    for scope, node in nodes.items():
        parent = nodes.get(parents.get(scope, ""))
        if parent is None:
            roots.append(node)
        else:
            kind = scope.rpartition("/")[2].partition(":")[0]
            parent.divisions[kind].append(node)
    return roots


def _downwards(roots: Iterable[_Node]) -> list[_Node]:
    order = list(roots)
    for node in order:
        for children in node.divisions.values():
            order += children
    return order


def _variance(projection: Projection) -> float:
    return max(1.0, float(projection.high_nanousd - projection.low_nanousd)) ** 2


def _wanted(children: Sequence[_Node], whole: int) -> list[float]:
    """What each child should get: its guess and its part of the difference, by how unsure it is; none below zero."""
    missing = whole - sum(child.expected for child in children)
    unsure = sum(child.variance for child in children)
    return [max(0.0, child.expected + missing * child.variance / unsure) for child in children]


def _cut(whole: int, wanted: Sequence[float]) -> list[int]:
    """Whole nano-dollars in proportion to what is wanted, by the largest remainder; ties to the first."""
    exact = [int(each) for each in wanted]
    total = sum(exact)
    if not total:
        exact, total = [1] * len(wanted), len(wanted)
    parts = [whole * each // total for each in exact]
    left = sorted(range(len(exact)), key=lambda index: (-(whole * exact[index] % total), index))
    for index in left[: whole - sum(parts)]:
        parts[index] += 1
    return parts


def _stretched(projection: Projection, remaining: int) -> Projection:
    """The same shape with another remainder; where nothing was expected, the difference comes evenly."""
    spent, before, days = projection.spent_nanousd, projection.remaining_nanousd, len(projection.fan)
    gone = min(days, max(0, (projection.as_of - projection.begin).days))

    def moved(nanos: int, ahead: int = days - gone) -> int:
        if before:
            return spent + (nanos - spent) * remaining // before
        return nanos + (remaining * ahead // (days - gone) if remaining else 0)

    fan = [
        FanPoint(point.day, *(moved(nanos, index - gone + 1) for nanos in point[1:])) if index >= gone else point
        for index, point in enumerate(projection.fan)
    ]
    return replace(
        projection,
        total_nanousd=spent + remaining,
        low_nanousd=moved(projection.low_nanousd),
        high_nanousd=moved(projection.high_nanousd),
        fan=tuple(fan),
        spread_nanousd=tuple(moved(nanos) for nanos in projection.spread_nanousd),
    )
