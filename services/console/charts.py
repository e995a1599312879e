"""The geometry of charts: figures to coordinates of inline SVG. Pure; what is drawn carries no style of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from services.core.foresight_events import Forecast

SPARK_WIDTH: Final = 120
SPARK_HEIGHT: Final = 24
FAN_WIDTH: Final = 640
FAN_HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 14, 24


@dataclass(frozen=True, slots=True)
class Spark:
    """A sparkline: the line, and the same closed to the ground."""

    line: str
    area: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on an axis, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Fan:
    """A month so far, and where it may go. Paths in the coordinates of the view box."""

    spent: str
    band: str
    middle: str
    limits: tuple[Mark, ...]
    days: tuple[Mark, ...]
    amounts: tuple[Mark, ...]
    today: float | None
    end: tuple[float, float] | None


def sparkline(values: Sequence[int], *, width: int = SPARK_WIDTH, height: int = SPARK_HEIGHT) -> Spark:
    """A line through these values, the largest at the top; flat on the ground when all are zero."""
    if not values:
        return Spark("", "")
    top, step = max(*values, 1), width / max(1, len(values) - 1)
    heights = [round(height - 1.5 - max(0, value) * (height - 3) / top, 1) for value in values]
    # A level stretch is drawn by its ends: most hours of most scopes are level, and pages are sent often.
    bends = [n for n, y in enumerate(heights) if heights[max(0, n - 1) : n + 2] != [y] * 3]
    line = "M" + "L".join(f"{n * step:.1f} {heights[n]}" for n in bends)
    return Spark(line, f"{line}L{width} {height}L0 {height}Z")


def fan_of(
    begins: date,
    ends: date,
    daily_nanousd: Sequence[int],
    forecast: Forecast | None,
    limits: Sequence[tuple[str, int]],
) -> Fan:
    """A window's spending by day from its first, accumulated; beside it what is expected, and the limits in sight.

    `ends` is the first day after the window, `limits` are names and nano-dollars. Limits far above everything else are
    left out: they would press the rest flat.
    """
    length = max(1, (ends - begins).days)
    totals = [0]
    for amount in daily_nanousd[:length]:
        totals.append(totals[-1] + amount)
    points = [] if forecast is None else forecast.fan
    highest = max([*totals, *(point.high_nanousd for point in points), 1])
    shown = [(name, limit) for name, limit in limits if 0 < limit <= 2.5 * highest]
    top = _round_up(max([highest, *(limit for _, limit in shown)]))

    def x(days: float) -> float:
        return round(_LEFT + (FAN_WIDTH - _LEFT - _RIGHT) * days / length, 1)

    def y(amount: float) -> float:
        return round(FAN_HEIGHT - _BOTTOM - (FAN_HEIGHT - _TOP - _BOTTOM) * max(0, amount) / top, 1)

    today = len(daily_nanousd)
    ahead = [(x((point.day - begins).days + 1), point) for point in points if (point.day - begins).days + 1 >= today]
    start = (x(max(0, min(today, length))), y(totals[-1]))
    return Fan(
        spent=_path([(x(n), y(total)) for n, total in enumerate(totals)]),
        band=_band(start, [(at, y(p.low_nanousd), y(p.high_nanousd)) for at, p in ahead]),
        middle=_path([start, *((at, y(p.mid_nanousd)) for at, p in ahead)]) if ahead else "",
        limits=tuple(Mark(y(limit), name) for name, limit in shown),
        days=tuple(Mark(x(n + 0.5), str((begins + timedelta(days=n)).day)) for n in range(0, length, _stride(length))),
        amounts=tuple(Mark(y(top * n / 4), _dollars(top * n // 4)) for n in range(5)),
        today=start[0] if 0 < today <= length else None,
        end=(ahead[-1][0], y(ahead[-1][1].mid_nanousd)) if ahead else None,
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _band(start: tuple[float, float], ahead: Sequence[tuple[float, float, float]]) -> str:
    if not ahead:
        return ""
    upper = [start, *((x, high) for x, _, high in ahead)]
    lower = [(x, low) for x, low, _ in reversed(ahead)]
    return _path([*upper, *lower]) + "Z"


def _stride(days: int) -> int:
    return 1 if days <= 10 else 3 if days <= 31 else max(1, days // 10)


def _round_up(amount: int) -> int:
    """The next amount that divides into four round steps."""
    power: int = 10 ** max(0, len(str(amount)) - 1)
    return next(
        power * tenths // 10 for tenths in (10, 12, 16, 20, 24, 32, 40, 60, 80, 100) if power * tenths // 10 >= amount
    )


def _dollars(nanousd: int) -> str:
    dollars = nanousd / 1e9
    if dollars >= 1_000_000:
        return f"${dollars / 1e6:.4g}M"
    if dollars >= 10_000:
        return f"${dollars / 1e3:.4g}k"
    return f"${dollars:,.0f}" if dollars >= 20 or not nanousd else f"${dollars:.4g}"
