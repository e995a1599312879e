"""Periods of reports: as people name them, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.cli.errors import CliError
from services.cli.reports import period

ODD = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, ("2026-11-01T00:00", "2026-11-25T00:00")),
        ("2026-10-01", "2026-11-01", ("2026-10-01T00:00", "2026-11-01T00:00")),
        ("2026-11-24T10:00+02:00", None, ("2026-11-24T08:00", "2026-11-25T00:00")),
    ],
)
def test_periods_as_people_name_them(since: str | None, until: str | None, expected: tuple[str, str]) -> None:
    begin, end = period(since, until, ODD)
    assert (f"{begin:%Y-%m-%dT%H:%M}", f"{end:%Y-%m-%dT%H:%M}") == expected


@pytest.mark.parametrize(("since", "until"), [("yesterday", None), ("2026-11-02", "2026-11-02"), ("2027-01-01", None)])
def test_what_is_no_period_is_refused(since: str, until: str | None) -> None:
    with pytest.raises(CliError):
        period(since, until, ODD)
