"""The period of a command, as people name it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from services.cli.errors import CliError
from services.core.period import RANGE, Period, parse_period

DAY = timedelta(days=1)


def period(since: str | None, until: str | None, now: datetime) -> tuple[datetime, datetime]:
    """The period people name: from the first of this month until the next day, if they say nothing (UTC).

    Takes `2026-11-24`, `2026-11-24T13:00`, with or without an offset. Raises CliError.
    """
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    begin = first if since is None else _instant(since, "--since")
    end = tomorrow if until is None else _instant(until, "--until")
    if begin >= end:
        raise CliError(f"the period is empty: {begin:%Y-%m-%d %H:%M} is not before {end:%Y-%m-%d %H:%M} UTC")
    return begin, end


def named_period(text: str | None, since: str | None, until: str | None, zone: ZoneInfo, now_ms: int) -> Period:
    """The period that was named, or the one between two ends: this month, if nobody says anything.

    Raises CliError, and PeriodError.
    """
    if text is not None and (since is not None or until is not None):
        raise CliError("a period has its own ends", advice="give either --period, or --since and --until")
    if since is None and until is None:
        return parse_period(text or "this-month", zone, now_ms)
    begin = parse_period("this-month", zone, now_ms).begin.isoformat() if since is None else since
    return parse_period(f"{begin}{RANGE}{until or ''}", zone, now_ms)


def _instant(text: str, option: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise CliError(f"{option}: {text!r} is no date", advice="write 2026-11-24 or 2026-11-24T13:00") from error
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
