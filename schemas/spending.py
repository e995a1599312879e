"""What the ledger says about spending: usage, a reservation that ran out, and a correction."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.envelope import Data
from schemas.fields import COST_USD, DECIMAL_USD, Instant, Name, Tags, Text, Tokens

Status = Literal["ok", "error", "cancelled"]
WireUsd = Annotated[str, Field(max_length=32, pattern=DECIMAL_USD)]
Cost = Annotated[str, Field(max_length=32, pattern=COST_USD)]
"""What one request costs, in dollars."""

CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE = "gen_ai.usage.cache_creation.input_tokens"
INPUT = "gen_ai.usage.input_tokens"
OUTPUT = "gen_ai.usage.output_tokens"
REASONING = "gen_ai.usage.reasoning.output_tokens"


class Dimensions(Data):
    """Whose spending it is, and on what: every attribute that a budget's scope can name."""

    organization: Name
    project: Name | None = None
    team: Name | None = None
    user: Name | None = None
    provider: Name | None = Field(default=None, alias="gen_ai.provider.name")
    model: Name = Field(alias="gen_ai.request.model")
    tags: Tags = Field(default={})


class Usage(Dimensions):
    """What one request used. Zero is a fact; an absent count means that nobody said, and leaves the charge unpriced.

    Cached tokens are part of the input tokens, reasoning tokens part of the output tokens.
    """

    input_tokens: Tokens | None = Field(default=None, alias=INPUT)
    output_tokens: Tokens | None = Field(default=None, alias=OUTPUT)
    cache_read_tokens: Tokens = Field(default=0, alias=CACHE_READ)
    cache_write_tokens: Tokens = Field(default=0, alias=CACHE_WRITE)
    reasoning_tokens: Tokens = Field(default=0, alias=REASONING)
    cost_usd: Cost | None = None
    request_id: Name | None = None
    reservation: Name | None = None
    status: Status = "ok"
    latency_ms: Annotated[int, Field(ge=0, le=86_400_000)] | None = None
    streaming: bool = False

    @model_validator(mode="after")
    def _parts_within_wholes(self) -> Self:
        cached = self.cache_read_tokens + self.cache_write_tokens
        if self.input_tokens is not None and cached > self.input_tokens:
            raise _part_above_whole(CACHE_READ, "cached tokens", cached, "input tokens", self.input_tokens)
        if self.output_tokens is not None and self.reasoning_tokens > self.output_tokens:
            raise _part_above_whole(
                REASONING, "reasoning tokens", self.reasoning_tokens, "output tokens", self.output_tokens
            )
        return self


class Expiry(Dimensions):
    """A reservation that nobody settled in time: charged at its estimate until the truth arrives."""

    reservation: Name
    estimate_usd: Cost


class Correction(Dimensions):
    """A charge that was wrong. `previous_cost_usd` is absent when the charge was unpriced."""

    charge: Name
    charged_at: Instant
    previous_cost_usd: Cost | None = None
    cost_usd: Cost
    reason: Text

    @model_validator(mode="after")
    def _corrects_something(self) -> Self:
        if self.previous_cost_usd is not None and Decimal(self.previous_cost_usd) == Decimal(self.cost_usd):
            raise PydanticCustomError(
                "inconsistent", "is what the charge costs already: there is nothing to correct", {"field": "cost_usd"}
            )
        return self


def _part_above_whole(field: str, part: str, found: int, whole: str, limit: int) -> PydanticCustomError:
    return PydanticCustomError(
        "inconsistent",
        "{part} ({found}) are part of {whole} ({limit}) and cannot be more: count them in both",
        {"field": field, "part": part, "found": found, "whole": whole, "limit": limit},
    )
