"""What the ledger says about limits: policies, boosts, acknowledgements, and the shares that enforcers hold."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import Field, StrictBool, field_serializer, model_validator
from pydantic_core import PydanticCustomError

from schemas.envelope import Data
from schemas.fields import Count, Identifier, Instant, Name, Nanousd, Text
from schemas.policy import Policy
from schemas.spending import WireUsd

BalanceKey = Annotated[str, Field(min_length=1, max_length=65_600)]
Beat = Annotated[Count, Field(ge=1)]
Total = Annotated[Nanousd, Field(ge=0)]


class PolicyChange(Data):
    """The whole policy of an organization, replacing the one before it; `version` must grow.

    `by` is what the sender wrote, `key_id` the API key that was presented.
    """

    organization: Name
    version: Annotated[Count, Field(ge=1)]
    policy: Policy
    by: Name
    reason: Text = ""
    key_id: Name | None = None

    @field_serializer("policy")
    def _written_out(self, policy: Policy) -> dict[str, Any]:
        # With its defaults: the ledger outlives them, and replaying it must give what held then.
        return policy.model_dump(mode="json")

    @model_validator(mode="after")
    def _of_this_organization(self) -> Self:
        if self.policy.organization != self.organization:
            raise PydanticCustomError(
                "inconsistent",
                "names another organization than the event does: a policy limits one",
                {"field": "policy.organization"},
            )
        return self


class WantedBoost(Data):
    """Extra room for one budget until an instant."""

    organization: Name
    budget: Identifier
    amount_usd: WireUsd
    until: Instant

    @model_validator(mode="after")
    def _adds_room(self) -> Self:
        if not Decimal(self.amount_usd):
            raise PydanticCustomError("inconsistent", "adds nothing: write an amount", {"field": "amount_usd"})
        return self


class BoostRequest(WantedBoost):
    """Extra room for one budget until an instant, as somebody asks for it."""

    by: Name
    reason: Text = ""


class Boost(BoostRequest):
    """Extra room for one budget until an instant. `by` is what the sender wrote, `key_id` the API key presented."""

    key_id: Name | None = None


class Acknowledgement(Data):
    """Somebody has seen an alert and takes it from here.

    `by` is what the sender wrote, `key_id` the API key presented; a signed link has none.
    """

    organization: Name
    alert: Name
    by: Name
    note: Text = ""
    key_id: Name | None = None


class Claim(Data):
    """Up to which total one balance is to be granted to an enforcer, and the total of what it has given back.

    Of two claims the one with the later beat says what is wanted; what was given back only grows. `grace`: open the
    budget's grace if this cannot be granted within its limit.
    """

    balance: BalanceKey
    wanted_nanousd: Total
    released_nanousd: Total = 0
    grace: StrictBool = False

    @model_validator(mode="after")
    def _gives_back_what_it_got(self) -> Self:
        if self.released_nanousd > self.wanted_nanousd:
            raise PydanticCustomError(
                "inconsistent",
                "is more than is wanted: both are running totals since the enforcer started",
                {"field": "released_nanousd"},
            )
        return self


class AllowanceClaim(Data):
    """An enforcer's wish for shares of an organization's balances. `beat`: see `Heartbeat`."""

    organization: Name
    enforcer: Identifier
    beat: Beat
    claims: Annotated[list[Claim], Field(min_length=1, max_length=1024)]

    @model_validator(mode="after")
    def _each_balance_once(self) -> Self:
        if len({claim.balance for claim in self.claims}) < len(self.claims):
            raise PydanticCustomError("inconsistent", "names a balance twice: keep the later", {"field": "claims"})
        return self


class Heartbeat(Data):
    """An enforcer still lives. It says so in every partition of the ledger, for all organizations there.

    `enforcer` is another with every start. `beat` numbers what it says, claims included. Once it has been silent for
    `reclaim_after_ms` of the ledger's clock, its shares may go to others; without it, they never do by themselves.
    """

    enforcer: Identifier
    beat: Beat
    reclaim_after_ms: Annotated[int, Field(ge=1, le=366 * 86_400_000)] | None = None


class FarewellRequest(Data):
    """An enforcer is known to be gone for good, as somebody says: its shares are free at once."""

    enforcer: Identifier
    by: Name
    reason: Text = ""


class Farewell(FarewellRequest):
    """An enforcer is known to be gone for good. `by` is what the sender wrote, `key_id` the API key presented."""

    key_id: Name | None = None
