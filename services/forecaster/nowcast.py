"""A forecast made at the start of a day, and what the day has really cost by now. Pure."""

from __future__ import annotations

from dataclasses import replace

from services.core.forecast import FanPoint, Projection


def with_today(projection: Projection, today_nanousd: int) -> Projection:
    """The projection, raised if the day that is running has cost more than was expected of all of it.

    A day that has cost less says nothing before it is over. What is spent is no longer uncertain: nothing that is
    still to come ends below it.
    """
    index = (projection.as_of - projection.begin).days
    if not 0 <= index < len(projection.fan) or today_nanousd <= 0:
        return projection
    known = projection.spent_nanousd + today_nanousd
    extra = max(0, known - projection.fan[index].mid_nanousd)

    def raised(nanos: int) -> int:
        return max(known, nanos + extra)

    fan = [*projection.fan[:index], *[FanPoint(p.day, *map(raised, p[1:])) for p in projection.fan[index:]]]
    return replace(
        projection,
        total_nanousd=raised(projection.total_nanousd),
        low_nanousd=raised(projection.low_nanousd),
        high_nanousd=raised(projection.high_nanousd),
        fan=tuple(fan),
        spread_nanousd=tuple(map(raised, projection.spread_nanousd)),
    )
