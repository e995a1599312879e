"""Which named query answers a question about spending: a roll-up where it is exact and knows enough, or the charges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.core.attribution import FEATURE, By, Filter, QuestionError, SpendQuery
from services.core.period import Period, windows
from services.core.window import Window, WindowKind

BUCKETS_MAX: Final = 3_000
HOUR_MS: Final = 3_600_000
LAST_CHARGE_MS: Final = 4_102_444_800_000
"""2100: no charge is later, and ClickHouse's dates and times reach a little further only."""

BY_HOUR: Final = frozenset((By.PROJECT, By.TEAM, By.PROVIDER, By.MODEL))
"""What the roll-up by hour knows of a charge."""
BY_DAY: Final = BY_HOUR | {By.STATUS}
"""What the roll-up by day knows."""

_LISTS: Final[Mapping[By, str]] = {
    By.PROJECT: "projects",
    By.TEAM: "teams",
    By.PROVIDER: "providers",
    By.MODEL: "models",
    By.USER: "users",
    By.STATUS: "statuses",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A named query and its parameters."""

    query: str
    parameters: Mapping[str, Any]


def plan(query: SpendQuery) -> Plan:
    """How to ask for the rows of a question that are not windows of time."""
    named = frozenset(each.dimension.by for each in query.filters)
    by = query.by.by
    asked = {**_scope(query, query.period), **_previous(query.compare)}
    if by is By.TOKEN_CLASS:
        if named <= BY_DAY:
            return Plan("spend_by_token_class", asked | _only(query.filters, BY_DAY))
        return Plan("charges_by_token_class", asked | _only(query.filters))
    asked["top"] = query.top
    if by is By.TAG and not named:
        return Plan("spend_by_tag", asked | {"tag": query.by.tag})
    if by is By.TAG and query.by != FEATURE:
        return Plan("charges_by_tag", asked | {"tag": query.by.tag} | _only(query.filters))
    if {by, *named} == {By.USER}:
        return Plan("spend_by_user", asked | _only(query.filters, frozenset((By.USER,))))
    asked |= {"by": str(query.by), "parent": "project" if by is By.TEAM else "organization"}
    if {by, *named} <= BY_DAY:
        return Plan("spend_by_dimension", asked | _only(query.filters, BY_DAY))
    return Plan("charges_by_dimension", asked | _only(query.filters))


def plan_over_time(query: SpendQuery, period: Period, buckets: Sequence[Window]) -> Plan:
    """How to ask for what was spent in each of these windows of a period."""
    asked = {**_scope(query, period), "edges": [window.start_ms // 1000 for window in buckets]}
    whole_hours = all(window.start_ms % HOUR_MS == 0 for window in buckets[1:])
    if whole_hours and {each.dimension.by for each in query.filters} <= BY_HOUR:
        return Plan("spend_over_time", asked | _only(query.filters, BY_HOUR))
    return Plan("charges_over_time", asked | _only(query.filters))


def buckets_of(period: Period, kind: WindowKind) -> list[Window]:
    """The windows of a period. Raises QuestionError when they are too many."""
    found: list[Window] = []
    for window in windows(period, kind):
        if len(found) == BUCKETS_MAX:
            raise QuestionError(f"the period has more than {BUCKETS_MAX:,} {kind}s: name a shorter one")
        found.append(window)
    return found


def _scope(query: SpendQuery, period: Period) -> dict[str, Any]:
    return {"organization": query.organization, "start_ms": _known(period.start_ms), "end_ms": _known(period.end_ms)}


def _previous(compare: Period | None) -> dict[str, int]:
    if compare is None:
        return {"previous_start_ms": 0, "previous_end_ms": 0}
    return {"previous_start_ms": _known(compare.start_ms), "previous_end_ms": _known(compare.end_ms)}


def _known(at_ms: int) -> int:
    """Where ClickHouse's own times end, so do all charges."""
    return min(at_ms, LAST_CHARGE_MS)


def _only(filters: Sequence[Filter], known: frozenset[By] | None = None) -> dict[str, Any]:
    """The parameters of filters: of those dimensions that a roll-up knows, or of all that charges have."""
    only: dict[str, Any] = {name: [] for by, name in _LISTS.items() if known is None or by in known}
    if known is None:
        only |= {"features": [], "tag_names": [], "tag_values": []}
    for each in filters:
        if each.dimension == FEATURE:
            only["features"] = list(each.values)
        elif each.dimension.by is By.TAG:
            only["tag_names"].append(each.dimension.tag)
            only["tag_values"].append(list(each.values))
        else:
            only[_LISTS[each.dimension.by]] = list(each.values)
    return only
