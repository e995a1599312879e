"""The time zone in which an organization's days begin: what its policy says, if somebody can be asked."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

from services.cli.api import AWAY, open_api
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.render import console
from services.core.period import PeriodError, zone_of

UTC = ZoneInfo("UTC")
WITHIN_S = 5.0


async def zone_for(named: str | None, organization: str, connection: Connection) -> ZoneInfo:
    """The zone that was named, else the policy's, else UTC with a word on stderr. Raises CliError."""
    if named is not None:
        try:
            return zone_of(named)
        except PeriodError as error:
            raise CliError(str(error)) from error
    try:
        async with asyncio.timeout(WITHIN_S), open_api(connection) as api:
            entry = await api.policy(organization)
        if entry is None:
            return _utc(f"{organization} has no policy that names a time zone")
        return zone_of(entry.policy.get("timezone", UTC.key))
    except (CliError, PeriodError, *AWAY) as error:
        return _utc(f"the policy of {organization} cannot be read ({str(error) or type(error).__name__})")


def _utc(why: str) -> ZoneInfo:
    console(stderr=True).print(f"days are those of UTC: {why}; name another with --zone", markup=False, soft_wrap=True)
    return UTC
