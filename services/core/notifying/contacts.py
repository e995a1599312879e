"""Whom a policy names for a notice, and when they want to hear of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from schemas.fields import duration_ms
from schemas.policy import Contact as WrittenContact
from schemas.policy import Policy
from services.core.notifying.notice import RANK, Notice, Severity
from services.core.schedule import BASIS_POINTS, ScheduleRule, factor_at

ANY = "*"
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Contact:
    """One entry of a policy's contacts. `then` are told one after the other, each `patience_ms` later, unanswered."""

    budget: str
    first: tuple[str, ...]
    then: tuple[str, ...]
    patience_ms: int
    least: Severity
    quiet: tuple[ScheduleRule, ...]
    zone: ZoneInfo
    at_most: int | None
    digest_ms: int | None

    def concerns(self, notice: Notice) -> bool:
        """Whether a notice is for this contact."""
        return self.budget in (ANY, notice.budget) and RANK[notice.severity] >= RANK[self.least]

    def waits_until_ms(self, severity: Severity, at_ms: int) -> int:
        """When a message of an instant may go: then, at the end of quiet hours, or of the stretch that is collected.

        What is critical goes at once.
        """
        if severity == "critical":
            return at_ms
        awake_ms = self._end_of_quiet(at_ms)
        if self.digest_ms is None:
            return awake_ms
        return self._end_of_quiet(-(-awake_ms // self.digest_ms) * self.digest_ms)

    def _end_of_quiet(self, at_ms: int) -> int:
        """The first whole minute, or this instant, that is not in quiet hours: they are written in minutes."""
        while self._is_quiet(at_ms):
            at_ms += MINUTE_MS - at_ms % MINUTE_MS
        return at_ms

    def _is_quiet(self, at_ms: int) -> bool:
        return factor_at(self.quiet, at_ms, self.zone) != BASIS_POINTS


def contacts_of(policy: Policy) -> tuple[Contact, ...]:
    """A validated policy's contacts."""
    zone = ZoneInfo(policy.timezone)
    return tuple(_contact(written, zone) for written in policy.contacts)


def concerned(contacts: Sequence[Contact], notice: Notice) -> list[Contact]:
    """Who is to hear of a notice. Those who are named for its budget; else those who are named for any.

    `*` beside a budget's own contacts stands back, as `*` does in a budget's scope.
    """
    named = [contact for contact in contacts if contact.budget != ANY and contact.budget == notice.budget]
    return [each for each in named or contacts if each.concerns(notice)]


def _contact(written: WrittenContact, zone: ZoneInfo) -> Contact:
    return Contact(
        budget=written.budget,
        first=written.notify,
        then=written.to,
        patience_ms=0 if written.escalate_after is None else duration_ms(written.escalate_after),
        least=written.min_severity,
        quiet=() if written.quiet is None else (ScheduleRule(written.quiet, 0),),
        zone=zone,
        at_most=written.at_most,
        digest_ms=None if written.digest is None else duration_ms(written.digest),
    )
