"""Wire structs of the ledger: what the hot paths decode. `schemas.events` says the same for the people who write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(max_length=2048)]
TOKENS_MAX = 100_000_000
Tokens = Annotated[int, Meta(ge=0, le=TOKENS_MAX)]
TOTAL_MAX = 2**62
CLAIMS_MAX = 1024
RECLAIM_AFTER_MAX_MS = 366 * 86_400_000
Beat = Annotated[int, Meta(ge=1, le=2**53)]
Instant = Annotated[datetime, Meta(tz=True)]
Usd = Annotated[str, Meta(max_length=32)]
Tags = Annotated[dict[Name, Annotated[str, Meta(max_length=512)]], Meta(max_length=64)]
Status = Literal["ok", "error", "cancelled"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def to_ms(instant: datetime) -> int:
    """UTC milliseconds since the epoch, exact (no float on the way); sub-millisecond digits are dropped."""
    return (instant - EPOCH) // MILLISECOND


def from_ms(at_ms: int) -> datetime:
    """The inverse of `to_ms`."""
    return EPOCH + timedelta(milliseconds=at_ms)


def iso(at_ms: int) -> str:
    """The instant as people write it, in UTC."""
    return from_ms(at_ms).isoformat().replace("+00:00", "Z")


def to_us(instant: datetime) -> int:
    """UTC microseconds since the epoch."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def from_us(at_us: int) -> datetime:
    """The inverse of `to_us`."""
    return EPOCH + timedelta(microseconds=at_us)


class Dimensions(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Whose spending it is, and on what: every attribute a budget's scope can name."""

    organization: Name
    project: Name | None = None
    team: Name | None = None
    user: Name | None = None
    provider: Name | None = field(default=None, name="gen_ai.provider.name")
    model: Name = field(name="gen_ai.request.model")
    tags: Tags = {}


class Usage(Dimensions, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What one request used. Zero is a fact; None means that nobody said, and leaves the charge unpriced."""

    input_tokens: Tokens | None = field(default=None, name="gen_ai.usage.input_tokens")
    output_tokens: Tokens | None = field(default=None, name="gen_ai.usage.output_tokens")
    cache_read_tokens: Tokens = field(default=0, name="gen_ai.usage.cache_read.input_tokens")
    cache_write_tokens: Tokens = field(default=0, name="gen_ai.usage.cache_creation.input_tokens")
    reasoning_tokens: Tokens = field(default=0, name="gen_ai.usage.reasoning.output_tokens")
    cost_usd: Usd | None = None
    request_id: Name | None = None
    reservation: Name | None = None
    status: Status = "ok"
    latency_ms: Annotated[int, Meta(ge=0, le=86_400_000)] | None = None
    streaming: bool = False


class Expiry(Dimensions, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A reservation that nobody settled in time: charged at its estimate until the truth arrives."""

    reservation: Name
    estimate_usd: Usd


class Correction(Dimensions, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A charge that was wrong. `previous_cost_usd` None means that it was unpriced."""

    charge: Name
    charged_at: Instant
    previous_cost_usd: Usd | None = None
    cost_usd: Usd
    reason: Text


class PolicyChange(Struct, frozen=True, kw_only=True):
    """The whole policy of an organization, replacing the one before it; `version` must grow."""

    organization: Name
    version: Annotated[int, Meta(ge=1)]
    policy: dict[str, Any]
    by: Name
    reason: Text = ""
    key_id: Name | None = None


class Boost(Struct, frozen=True, kw_only=True, gc=False):
    """Extra room for one budget until an instant."""

    organization: Name
    budget: Name
    amount_usd: Usd
    until: Instant
    by: Name
    reason: Text = ""
    key_id: Name | None = None


class Acknowledgement(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Somebody has seen an alert and takes it from here."""

    organization: Name
    alert: Name
    by: Name
    note: Text = ""


class Claim(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Up to which total one balance is to be granted to an enforcer, and the total of what it has given back.

    Of two claims the one with the later beat says what is wanted; what was given back only grows. `grace`: open the
    budget's grace if this cannot be granted within its limit.
    """

    balance: Annotated[str, Meta(min_length=1, max_length=65_600)]
    wanted_nanousd: Annotated[int, Meta(ge=0, le=TOTAL_MAX)]
    released_nanousd: Annotated[int, Meta(ge=0, le=TOTAL_MAX)] = 0
    grace: bool = False


class AllowanceClaim(Struct, frozen=True, kw_only=True, gc=False):
    """An enforcer's wish for shares of an organization's balances. `beat`: see `Heartbeat`."""

    organization: Name
    enforcer: Name
    beat: Beat
    claims: Annotated[list[Claim], Meta(min_length=1, max_length=CLAIMS_MAX)]


class Heartbeat(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """An enforcer still lives, in one partition of the ledger. `beat` numbers what it says there, claims included.

    Silent for `reclaim_after_ms` of the ledger's clock, its shares may be given to others; None: never by itself.
    """

    enforcer: Name
    beat: Beat
    reclaim_after_ms: Annotated[int, Meta(ge=1, le=RECLAIM_AFTER_MAX_MS)] | None = None


class Farewell(Struct, frozen=True, kw_only=True, gc=False):
    """An enforcer is known to be gone for good: its shares are free at once."""

    enforcer: Name
    by: Name
    reason: Text = ""
    key_id: Name | None = None


class Event(Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """A CloudEvents 1.0 envelope. `source` and `id` together name the event: sent twice, it counts once."""

    id: Name
    source: Name
    time: Instant
    specversion: Literal["1.0"] = "1.0"
    subject: Text | UnsetType = UNSET


class UsageRecorded(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.usage.recorded.v1"):
    data: Usage


class ReservationExpired(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.reservation.expired.v1"):
    data: Expiry


class UsageCorrected(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.usage.corrected.v1"):
    data: Correction


class PolicyChanged(Event, frozen=True, kw_only=True, tag="spendgate.policy.changed.v1"):
    data: PolicyChange


class BoostGranted(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.boost.granted.v1"):
    data: Boost


class AlertAcknowledged(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.alert.acknowledged.v1"):
    data: Acknowledgement


class AllowanceClaimed(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.allowance.claimed.v1"):
    data: AllowanceClaim


class EnforcerAlive(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.enforcer.alive.v1"):
    data: Heartbeat


class EnforcerForgotten(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.enforcer.forgotten.v1"):
    data: Farewell
