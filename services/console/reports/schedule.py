"""Reports that are written by themselves: each Monday, into files, once; what was missed is made up for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from schemas.policy import Policy
from services.adapters import logs
from services.adapters.clickhouse import FAILURES, AddressError, explain
from services.console.reports.desk import FORMATS, Desk, OrderError, Report
from services.core.governance.due import Due, Kind, due, next_ms
from services.core.governance.file_names import file_name

RETRY_S: Final = 60.0
WAIT_S: Final = 60.0
"""Policies appear and change their time zones: what is due is looked up again after a minute at the latest."""

DONE: Final = "json"
"""The form that is written last: when it is there, the report is complete."""

log = logs.logger(__name__)


class Schedule:
    """Writes what is due below a folder: `<organization>/<kind>/<period>.html`, `.md` and `.json`."""

    def __init__(self, desk: Desk, policies: Mapping[str, Policy], folder: Path, now_ms: Callable[[], int]) -> None:
        self._desk, self._policies, self._folder, self._now_ms = desk, policies, folder, now_ms

    async def run(self) -> None:
        """Write what becomes due, until cancelled."""
        while True:
            whole = await self.write_due()
            await asyncio.sleep(self._wait_s() if whole else RETRY_S)

    async def write_due(self) -> bool:
        """Write everything that is due now; False when ClickHouse kept some of it from being made."""
        whole = True
        for organization, policy in sorted(self._policies.items()):
            for each in due(self._now_ms(), ZoneInfo(policy.timezone), self._is_written(organization)):
                whole &= await self._write(organization, each)
        return whole

    def path(self, organization: str, kind: Kind, period: str, form: str, team: str = "") -> Path:
        """Where a report is kept."""
        name = period if not team else f"{period}.{file_name(team)}"
        return self._folder / file_name(organization) / kind / f"{name}.{form}"

    def _is_written(self, organization: str) -> Callable[[Kind, str], bool]:
        return lambda kind, period: self.path(organization, kind, period, DONE).exists()

    async def _write(self, organization: str, each: Due) -> bool:
        """The teams' first and the organization's last: it is what says that the work is done."""
        try:
            if each.kind == "weekly":
                for team in await self._desk.teams(organization, each.period):
                    self._save(organization, await self._desk.report("weekly", organization, each.period, team), team)
            self._save(organization, await self._desk.report(each.kind, organization, each.period))
        except (*FAILURES, AddressError, OrderError) as error:
            reason = str(error) if isinstance(error, OrderError) else explain(error)
            log.warning(
                "a report is late", organization=organization, kind=each.kind, period=each.period, reason=reason
            )
            return isinstance(error, OrderError)
        log.info("report written", organization=organization, kind=each.kind, period=each.period)
        return True

    def _save(self, organization: str, report: Report, team: str = "") -> None:
        for form in FORMATS:
            path = self.path(organization, report.kind, report.period, form, team)
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(path.name + ".new")
            draft.write_text(report.rendered(form), "utf-8")
            draft.replace(path)

    def _wait_s(self) -> float:
        now_ms = self._now_ms()
        zones = {ZoneInfo(policy.timezone) for policy in self._policies.values()}
        return min([WAIT_S, *((next_ms(now_ms, zone) - now_ms) / 1000 for zone in zones)])
