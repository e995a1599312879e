"""What a gateway reports after a call: the body of a settlement, and the usage that it stands for."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from schemas.fields import COST_USD
from services.core.ask import Ask
from services.core.events import Name, Status, Tags, Tokens, Usage
from services.core.pricing import PriceBook
from services.core.usage_price import price_usage

LATENCY_MS_MAX = 86_400_000

Dollars = Annotated[str, Meta(pattern=COST_USD)]


class Report(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """What a reserved request really used.

    Names of token counts follow OpenTelemetry. Send organization, model and the other attributes with every settlement:
    an enforcer that was restarted since has forgotten the reservation, and settles by what it is told. For one that it
    holds, only provider and model are taken, as the call may have gone to another than was asked for.
    """

    reservation: Name
    organization: Name | None = None
    project: Name | None = None
    team: Name | None = None
    user: Name | None = None
    provider: Name | None = field(default=None, name="gen_ai.provider.name")
    model: Name | None = field(default=None, name="gen_ai.request.model")
    tags: Tags = {}
    input_tokens: Tokens | None = field(default=None, name="gen_ai.usage.input_tokens")
    output_tokens: Tokens | None = field(default=None, name="gen_ai.usage.output_tokens")
    cache_read_tokens: Tokens = field(default=0, name="gen_ai.usage.cache_read.input_tokens")
    cache_write_tokens: Tokens = field(default=0, name="gen_ai.usage.cache_creation.input_tokens")
    reasoning_tokens: Tokens = field(default=0, name="gen_ai.usage.reasoning.output_tokens")
    cost_usd: Dollars | None = None
    request_id: Name | None = None
    status: Status = "ok"
    latency_ms: Annotated[int, Meta(ge=0, le=LATENCY_MS_MAX)] | None = None
    streaming: bool = False


class Release(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """The body of a release: the request was never made."""

    reservation: Name


def usage_of(report: Report, ask: Ask | None) -> Usage | None:
    """The usage that a report stands for; None when the reservation's ask is not known and the report does not say."""
    if ask is None:
        if report.organization is None or report.model is None:
            return None
        whose = (report.organization, report.project, report.team, report.user, report.tags)
        provider, model = report.provider, report.model
    else:
        whose = (ask.organization, ask.project, ask.team, ask.user, ask.tags)
        provider, model = report.provider or ask.provider, report.model or ask.model
    organization, project, team, user, tags = whose
    return Usage(
        organization=organization,
        project=project,
        team=team,
        user=user,
        provider=provider,
        model=model,
        tags=tags,
        input_tokens=report.input_tokens,
        output_tokens=report.output_tokens,
        cache_read_tokens=report.cache_read_tokens,
        cache_write_tokens=report.cache_write_tokens,
        reasoning_tokens=report.reasoning_tokens,
        cost_usd=report.cost_usd,
        request_id=report.request_id,
        reservation=report.reservation,
        status=report.status,
        latency_ms=report.latency_ms,
        streaming=report.streaming,
    )


def cost_of(usage: Usage, prices: PriceBook, at_ms: int) -> int | None:
    """What the ledger will charge for a usage, in nano-dollars; None when it will be unpriced.

    Raises `MoneyError` or `InconsistentUsage` for a report that the ledger would reject.
    """
    price = price_usage(usage, prices, at_ms)
    return None if price is None else price.total_nanousd
