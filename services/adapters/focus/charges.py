"""The charges of a FOCUS export, from ClickHouse."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from services.adapters.warehouse.rows import Rows
from services.core.focus import Row
from services.core.focus_rows import ChargeGroup, focus_rows
from services.core.report_period import starts
from services.core.window import WindowKind

GROUPS_MAX: Final = 500_000


class TooMuch(Exception):
    """More rows than one answer may have; the message says what to do."""


async def focus_export(
    rows: Rows, organization: str, begin_ms: int, end_ms: int, zone: ZoneInfo, *, most: int = GROUPS_MAX
) -> list[Row]:
    """The FOCUS rows of what was charged from `begin_ms` until before `end_ms`, by day of the zone.

    BilledCost adds up to the charges, to the nano-dollar. Raises TooMuch, and what `rows` raises.
    """
    found = await rows(
        "focus_charges",
        organization=organization,
        begin_ms=begin_ms,
        end_ms=end_ms,
        days=starts(WindowKind.DAY, begin_ms, end_ms, zone),
        zone=zone.key,
        most=most + 1,
    )
    if len(found) > most:
        raise TooMuch(f"the export has more than {most:,} groups of charges: ask for a shorter period")
    return [row for group in found for row in focus_rows(_group(group), zone)]


def _group(columns: dict[str, object]) -> ChargeGroup:
    tags = msgspec.json.decode(str(columns["tags"]), type=dict[str, str])
    return msgspec.convert({**columns, "tags": tags}, ChargeGroup, strict=False)
