"""A message as it is sent: subject, text, HTML and JSON of the same facts, with links."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.core.events import iso
from services.core.foresight_events import Forecast
from services.core.notifying import PIPELINE, Notice, Severity, Told, redacted, tell
from services.core.scope import parse_scope
from services.notifier.outbox import Message
from services.notifier.signing import Acknowledging, Signer

LINK_LASTS_MS: Final = 7 * 86_400_000
TEMPLATES: Final = Path(__file__).parent / "templates"
RANK: Final[Sequence[Severity]] = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Letter:
    """What a channel is sent. `id` is the idempotency key, `data` what a program reads, without `id` and instants."""

    id: str
    organization: str
    severity: Severity
    subject: str
    text: str
    html: str
    written_s: int
    data: Mapping[str, Any] = field(hash=False)

    def json(self) -> bytes:
        """The body of a webhook."""
        return msgspec.json.encode({"id": self.id, **self.data})


Forecasts = Callable[[str, str, str | None], Forecast | None]
"""The latest forecast of an organization's scope and window."""
Owners = Callable[[str, str | None], Sequence[str]]
"""Who answers for an organization's budget."""


class Writer:
    """Writes letters. Without an address of the console or of the notifier there are no such links."""

    def __init__(
        self, signer: Signer, forecasts: Forecasts, owners: Owners, *, console_url: str | None, own_url: str | None
    ) -> None:
        self._signer, self._forecasts, self._owners = signer, forecasts, owners
        self._console_url, self._own_url = _base(console_url), _base(own_url)
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(["html.j2"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def write(self, message: Message, now_ms: int) -> Letter:
        """The letter of a message."""
        parts = [self._part(notice, message.channel, now_ms) for notice in message.notices]
        severity = max((notice.severity for notice in message.notices), key=RANK.index)
        first: Told = parts[0]["told"]
        subject = first.headline if len(parts) == 1 else f"{len(parts)} alerts; {first.headline}"
        if message.step:
            subject = f"Unanswered: {subject}"
        shown = {"subject": subject, "parts": parts, "step": message.step}
        return Letter(
            id=message.id,
            organization=message.notices[0].organization,
            severity=severity,
            subject=f"[{severity}] {subject}",
            text=self._templates.get_template("letter.txt.j2").render(shown),
            html=self._templates.get_template("letter.html.j2").render(shown),
            written_s=now_ms // 1000,
            data={
                "organization": message.notices[0].organization,
                "severity": severity,
                "subject": subject,
                "step": message.step,
                "alerts": [_plain(part) for part in parts],
            },
        )

    def page(self, name: str, **shown: Any) -> str:
        """Another page from a template."""
        return self._templates.get_template(name).render(shown)

    def _part(self, notice: Notice, channel: str, now_ms: int) -> dict[str, Any]:
        forecast = self._forecasts(notice.organization, notice.scope, notice.facts.get("window"))
        told = tell(notice, forecast=forecast, owners=self._owners(notice.organization, notice.budget))
        links: dict[str, str] = {}
        if notice.kind == PIPELINE:  # of no organization: neither a page nor a ledger is about it
            return {"notice": notice, "told": told, "raised_at": iso(notice.raised_at_ms), "links": links}
        if self._console_url:
            links["console"] = self._console_url + page_of(notice.scope)
        if self._own_url:
            what = Acknowledging(notice.organization, notice.id, redacted(channel), now_ms + LINK_LASTS_MS)
            links["acknowledge"] = f"{self._own_url}/v1/acknowledge?token={self._signer.token(what)}"
        return {"notice": notice, "told": told, "raised_at": iso(notice.raised_at_ms), "links": links}


def _plain(part: Mapping[str, Any]) -> dict[str, Any]:
    notice: Notice = part["notice"]
    told: Told = part["told"]
    return {
        "alert": notice.id,
        "kind": notice.kind,
        "severity": notice.severity,
        "scope": notice.scope,
        "budget": notice.budget,
        "raised_at": part["raised_at"],
        "headline": told.headline,
        "outlook": told.outlook,
        "owner": told.owner,
        "advice": list(told.advice),
        "links": part["links"],
        "facts": notice.facts,
    }


def page_of(scope: str) -> str:
    """Where the console shows a scope, or what is nearest to it."""
    values = {name: quote(value, safe="") for name, value in parse_scope(scope).items()}
    page = f"/o/{values['org']}"
    if "user" in values:
        return f"{page}/u/{values['user']}"
    for name, letter in (("project", "p"), ("team", "t")):
        if name not in values:
            break
        page += f"/{letter}/{values[name]}"
    return page


def _base(url: str | None) -> str:
    return "" if url is None else url.rstrip("/")
