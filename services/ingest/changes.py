"""The bodies of administrative requests, as people write them."""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from schemas.fields import Name, Text
from schemas.problems import problems_of
from schemas.steering import WantedBoost
from services.adapters.web_body import decode_json
from services.adapters.web_errors import ApiError

ChangeT = TypeVar("ChangeT", bound=BaseModel)

_decoder = msgspec.json.Decoder(dict[str, Any])


class PolicyRequest(BaseModel):
    """Replace the whole policy of an organization."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    policy: dict[str, Any] = Field(description="the policy document")
    by: Name = Field(description="who makes the change", examples=["alice@example.com"])
    reason: Text = Field("", description="why, for the people who read the history", examples=["Q3 plan"])
    expected_version: Annotated[int, Field(ge=0)] | None = Field(
        None, description="the version that the change was made against, 0 for none; another one in force answers 409"
    )


class ProposalRequest(BaseModel):
    """Propose a policy, or a boost: another person decides."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    policy: dict[str, Any] | None = Field(None, description="the policy document that is proposed")
    boost: WantedBoost | None = Field(None, description="the boost that is requested")
    by: Name = Field(description="who proposes it", examples=["alice@example.com"])
    reason: Text = Field("", description="why, for who decides and who reads the history", examples=["Q3 plan"])
    expected_version: Annotated[int, Field(ge=0)] | None = Field(
        None, description="the version that the proposal was made against; another one in force answers 409"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        named = {"policy", "boost"} & self.model_fields_set
        if len(named) != 1 or (self.policy is None) == (self.boost is None):
            raise PydanticCustomError("one_of_both", "propose a policy or a boost: one of them")
        return self


class AcknowledgementRequest(BaseModel):
    """Take an alert from here."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    organization: Name = Field(description="whose alert it is", examples=["acme"])
    alert: Name = Field(description="the alert, as messages and `GET /v1/alerts` name it")
    by: Name = Field(description="who takes it", examples=["alice@example.com"])
    note: Text = Field("", description="what is going to be done", examples=["I have stopped the batch"])
    id: Name | None = Field(
        None, description="a name of your own: sent again with the same one, it counts once; without, each is another"
    )


def read_change(body: bytes, model: type[ChangeT]) -> ChangeT:
    """Decode and validate. Raises `ApiError` 400 or 422, naming the first field at fault and listing all."""
    document = decode_json(body, _decoder)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = problems_of(error, {"": tuple(model.model_fields)})
        problems = [{"field": problem.path, "message": problem.message} for problem in found]
        first = found[0]
        raise ApiError(
            422, "invalid_field", first.message, field=first.path or None, detail={"problems": problems}
        ) from error
