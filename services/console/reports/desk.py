"""The desk where reports are ordered: a kind, an organization and a period become a finished report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from schemas.policy import Policy
from services.adapters.warehouse.rows import Rows
from services.console.reports import gather, render
from services.console.reports.asking import Asking, TooMany
from services.console.reports.render import Format
from services.core.governance.document import Document
from services.core.governance.due import Kind
from services.core.governance.tell_account import tell_account
from services.core.governance.tell_plan import tell_plan
from services.core.governance.tell_review import tell_review
from services.core.period import PeriodError
from services.core.report_period import before, end_of, parse_period, period_text
from services.core.window import Window, WindowKind, window_at

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
WINDOWS: Final[Mapping[Kind, WindowKind]] = {
    "weekly": WindowKind.WEEK,
    "quarterly": WindowKind.QUARTER,
    "accountability": WindowKind.MONTH,
}
Field = Literal["organization", "period", "format", "team"]


class OrderError(ValueError):
    """A report that cannot be made as it was ordered; `field` names what is wrong, the message says what to write."""

    def __init__(self, field: Field, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Report:
    """A finished report: its data, and how it is told."""

    kind: Kind
    period: str
    data: Any
    document: Document

    def rendered(self, form: Format) -> str:
        """The report in one of its forms."""
        if form == "json":
            return render.json(self.data, self.kind)
        return render.html(self.document) if form == "html" else render.markdown(self.document)


class Desk:
    """Makes reports on demand. `policies` are those in force; without one, days are UTC and there are no budgets."""

    def __init__(self, rows: Rows, policies: Mapping[str, Policy], now_ms: Callable[[], int]) -> None:
        self._rows, self._policies, self._now_ms = rows, policies, now_ms

    async def report(self, kind: Kind, organization: str, period: str | None = None, team: str | None = None) -> Report:
        """A report; by default of the last whole week, the last whole month, or the running quarter.

        `team`: of a weekly review, only this one, as `project/team`. Raises OrderError, and what `rows` raises.
        """
        policy = self.policy(organization)
        window = self._window(kind, policy, period)
        if team is not None and kind != "weekly":
            raise OrderError("team", "only the weekly review is made for a single team")
        try:
            data, document = await self._made(kind, policy, window, team)
        except TooMany as error:
            raise OrderError("period", str(error)) from error
        return Report(kind, period_text(window), data, document)

    def policy(self, organization: str) -> Policy:
        """The policy in force, or one that says nothing. Raises OrderError for what no organization is called."""
        try:
            return self._policies.get(organization) or Policy(organization=organization)
        except ValidationError as error:
            raise OrderError("organization", "no organization can be called so") from error

    async def teams(self, organization: str, week: str) -> list[str]:
        """The teams that spent anything in a week, as `project/team`."""
        policy = self.policy(organization)
        window = self._window("weekly", policy, week)
        end_ms = min(end_of(window), self._now_ms())
        cells = await Asking(self._rows, organization).cells([window.start_ms], end_ms, ("project", "team"))
        return sorted({f"{cell.project}/{cell.team}" for cell in cells if cell.project and cell.team})

    async def _made(self, kind: Kind, policy: Policy, window: Window, team: str | None) -> tuple[Any, Document]:
        asking, now_ms = Asking(self._rows, policy.organization), self._now_ms()
        if kind == "quarterly":
            plan = await gather.quarterly(asking, policy, window, now_ms)
            return plan, tell_plan(plan)
        if kind == "accountability":
            account = await gather.account(asking, policy, window, now_ms)
            return account, tell_account(account)
        project, name = _split(team)
        review = await gather.weekly(asking, policy, window, now_ms, project, name)
        return review, tell_review(review)

    def _window(self, kind: Kind, policy: Policy, period: str | None) -> Window:
        zone, wanted, now_ms = ZoneInfo(policy.timezone), WINDOWS[kind], self._now_ms()
        running = window_at(wanted, now_ms, zone)
        if period is None:
            return running if kind == "quarterly" else before(running, zone)
        try:
            window = parse_period(period, zone, wanted)
        except PeriodError as error:
            raise OrderError("period", str(error)) from error
        if window.start_ms >= now_ms:
            raise OrderError("period", f"{period} has not begun yet")
        return window


def _split(team: str | None) -> tuple[str, str]:
    if team is None:
        return "", ""
    project, separator, name = team.partition("/")
    if not (separator and project and name):
        raise OrderError("team", "write project/team, as in search/ranking")
    return project, name
