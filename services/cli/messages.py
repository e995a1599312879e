"""What a gateway says about a request of a trace: the question before the call, and the usage after it."""

from __future__ import annotations

from typing import Any

from services.cli.cast import Request
from services.cli.pace import call_seconds, output_cap
from services.core.events import Usage, UsageRecorded, from_ms


def ask_of(request: Request) -> dict[str, Any]:
    """The body of a check."""
    ask = {
        "organization": request.organization,
        "project": request.project,
        "team": request.team,
        "user": request.user,
        "model": request.model,
        "input_tokens": request.row.input_tokens,
        "max_output_tokens": output_cap(request.row.output_tokens),
        "tags": {"feature": request.feature},
    }
    return ask if request.provider is None else {**ask, "provider": request.provider}


def usage_of(request: Request, reservation: str | None = None) -> Usage:
    """What the request used."""
    return Usage(
        organization=request.organization,
        project=request.project,
        team=request.team,
        user=request.user,
        provider=request.provider,
        model=request.model,
        tags={"feature": request.feature},
        input_tokens=request.row.input_tokens,
        output_tokens=request.row.output_tokens,
        request_id=request.name,
        reservation=reservation,
        latency_ms=round(1000 * call_seconds(request.row.output_tokens)),
    )


def event_of(request: Request, source: str, at_ms: int) -> UsageRecorded:
    """The usage as the event that ingest takes."""
    return UsageRecorded(id=request.name, source=source, time=from_ms(at_ms), data=usage_of(request))
