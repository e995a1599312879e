"""The period of a report as people write it: `2026-11-24`, `2026-W48`, `2026-11`, `2026-Q4`, `2026`."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from services.core.period import CALENDAR, PeriodError
from services.core.window import Window, WindowError, WindowKind, window_at, window_of_label


def parse_period(text: str, zone: ZoneInfo, *kinds: WindowKind) -> Window:
    """The period of one of these kinds that a text names, in a time zone. Raises PeriodError."""
    wanted = [form for form in CALENDAR if form[0] in kinds]
    found = next((kind for kind, pattern, _ in wanted if pattern.fullmatch(text)), None)
    try:
        if found is not None:
            return window_of_label(f"{found}:{text}", zone)
    except WindowError as error:
        raise PeriodError(f"{text!r} is not in the calendar: {error}") from error
    examples = " or ".join(f"{kind}s as {example}" for kind, _, example in wanted)
    raise PeriodError(f"{text[:40]!r} is no period: write {examples}")


def period_text(window: Window) -> str:
    """The inverse of `parse_period`."""
    return window.label.partition(":")[2]


def before(window: Window, zone: ZoneInfo) -> Window:
    """The window of the same kind that ends where this one begins."""
    return window_at(window.kind, window.start_ms - 1, zone)


def after(window: Window, zone: ZoneInfo) -> Window:
    """The window of the same kind that begins where this one ends."""
    return window_at(window.kind, end_of(window), zone)


def end_of(window: Window) -> int:
    """Where a window ends, UTC milliseconds. Raises ValueError for the one that never does."""
    if window.end_ms is None:
        raise ValueError(f"{window.label} has no end")
    return window.end_ms


def starts(kind: WindowKind, begin_ms: int, end_ms: int, zone: ZoneInfo) -> list[int]:
    """When the windows of a kind begin that have a part in `begin_ms` to `end_ms`; the first may be earlier."""
    found, at_ms = [], begin_ms
    while at_ms < end_ms:
        window = window_at(kind, at_ms, zone)
        found.append(window.start_ms)
        if window.end_ms is None:
            break
        at_ms = window.end_ms
    return found
