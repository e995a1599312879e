"""Each event example is read, each invalid one refused for its reason, and models and wire structs say the same."""

from __future__ import annotations

import json
from itertools import product
from typing import Any, TypeVar, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from schemas.catalog import CATALOG
from schemas.validate import Invalid, ValidEvent, validate_event
from services.core import events as wire
from services.core import outcomes
from services.core.decision import DecisionMade
from services.core.foresight_events import AnomalyFound, ForecastMade
from services.core.governance_events import BoostRequested, PolicyProposed, ProposalReviewed
from services.core.moving_events import BudgetCarried, BudgetMoved
from services.core.notification_events import NotificationSent
from tests.contracts.samples import EXAMPLES, InvalidSample, Json, invalid_events, read_json, valid_events

STRUCTS: dict[str, type[wire.Event]] = {
    str(struct.__struct_config__.tag): struct
    for struct in (
        wire.UsageRecorded,
        wire.ReservationExpired,
        wire.UsageCorrected,
        wire.PolicyChanged,
        wire.BoostGranted,
        BudgetMoved,
        BudgetCarried,
        PolicyProposed,
        BoostRequested,
        ProposalReviewed,
        wire.AlertAcknowledged,
        wire.AllowanceClaimed,
        wire.EnforcerAlive,
        wire.EnforcerForgotten,
        outcomes.ChargePosted,
        outcomes.AlertRaised,
        outcomes.AuditRecorded,
        outcomes.UsageRejected,
        DecisionMade,
        ForecastMade,
        AnomalyFound,
        NotificationSent,
    )
}
USAGE = "spendgate.usage.recorded.v1"
T = TypeVar("T")


def validated(event: object, name: str) -> ValidEvent:
    verdict = validate_event(event, types=[name])
    assert isinstance(verdict, ValidEvent), verdict
    return verdict


def refused(event: object, name: str = USAGE) -> Invalid:
    verdict = validate_event(event, types=[name])
    assert isinstance(verdict, Invalid), verdict
    return verdict


def plain(value: Any) -> Any:
    """A model or a struct as builtins, field by field, under its Python names."""
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields if name != "type"}
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if value is msgspec.UNSET else value


@pytest.mark.parametrize(("name", "event"), valid_events())
def test_a_valid_example_is_read_and_its_wire_form_says_the_same(name: str, event: Json) -> None:
    valid = validated(event, name)
    assert valid.type == name
    assert valid.organization == event["data"].get("organization", "")
    again = validated(json.loads(valid.wire), name)
    assert again.event == valid.event
    assert again.wire == valid.wire, "the canonical form is canonical"


@pytest.mark.parametrize(("name", "event"), [case for case in valid_events() if case.values[0] in STRUCTS])
def test_a_valid_example_decodes_to_equal_values_with_the_wire_struct(name: str, event: Json) -> None:
    valid = validated(event, name)
    decoded = msgspec.json.decode(valid.wire, type=STRUCTS[name])
    expected = plain(valid.event)
    if name in ("spendgate.policy.changed.v1", "spendgate.policy.proposed.v1"):
        expected["data"]["policy"] = valid.event.model_dump(mode="json")["data"]["policy"]
    assert plain(decoded) == expected
    assert validated(msgspec.to_builtins(decoded), name).wire == valid.wire, "and the struct's encoding is read again"


@pytest.mark.parametrize(("name", "sample"), invalid_events())
def test_an_invalid_example_is_refused_with_field_and_reason(name: str, sample: InvalidSample) -> None:
    invalid = refused(sample.event, name)
    assert (invalid.field, invalid.reason) == (sample.field, sample.reason)
    assert len(invalid.message) > 5


@pytest.mark.parametrize(("name", "sample"), invalid_events())
def test_an_invalid_example_says_whether_the_wire_struct_refuses_it_too(name: str, sample: InvalidSample) -> None:
    assert sample.wire in (("refuses", "accepts") if name in STRUCTS else (None,))
    if sample.wire is None:
        return
    try:
        msgspec.json.decode(json.dumps(sample.event), type=STRUCTS[name])
        outcome = "accepts"
    except msgspec.ValidationError:
        outcome = "refuses"
    assert outcome == sample.wire


@pytest.mark.parametrize("name", STRUCTS)
def test_models_and_wire_structs_name_the_same_fields(name: str) -> None:
    assert_same_fields(CATALOG[name].model, STRUCTS[name])


def assert_same_fields(model: type[BaseModel], struct: type[msgspec.Struct]) -> None:
    fields = {key: field for key, field in model.model_fields.items() if key != "type"}
    written = {field.name: field for field in msgspec.structs.fields(struct)}
    assert fields.keys() == written.keys(), model
    for name, field in fields.items():
        assert (field.alias or name) == written[name].encode_name
        for nested_model, nested_struct in product(
            of_kind(BaseModel, field.annotation), of_kind(msgspec.Struct, written[name].type)
        ):
            assert_same_fields(nested_model, nested_struct)


def of_kind(kind: type[T], annotation: Any) -> list[type[T]]:
    """The classes of one kind in `X`, `X | None` or `list[X]`."""
    options = get_args(annotation) or (annotation,)
    return [option for option in options if isinstance(option, type) and issubclass(option, kind)]


def test_defaults_are_left_out_on_the_wire_and_a_policy_is_written_out() -> None:
    usage = validated(read_json(EXAMPLES / USAGE / "zero_output_is_a_fact.json"), USAGE)
    data = json.loads(usage.wire)["data"]
    assert data.keys() == {
        "organization",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
    }
    name = "spendgate.policy.changed.v1"
    changed = validated(read_json(EXAMPLES / name / "no_budgets_yet.json"), name)
    assert json.loads(changed.wire)["data"]["policy"]["requests"]["default_max_output_tokens"] == 1024


def test_an_edge_may_send_usage_and_nothing_else() -> None:
    policy = read_json(EXAMPLES / "spendgate.policy.changed.v1" / "two_budgets.json")
    verdict = validate_event(policy)
    assert isinstance(verdict, Invalid)
    assert (verdict.field, verdict.reason, verdict.organization) == ("type", "unknown_type", "acme")


@pytest.mark.parametrize(
    "event", [None, [], "text", 5, {}, {"type": ["x"]}, {"type": USAGE}, {"type": USAGE, "data": []}]
)
def test_what_is_no_event_is_refused(event: object) -> None:
    assert refused(event).organization is None


def test_hostile_names_do_not_make_long_answers() -> None:
    event = read_json(EXAMPLES / USAGE / "zero_output_is_a_fact.json")
    event["data"]["tags"] = {"k" * 100_000: "v"}
    invalid = refused(event)
    assert len(invalid.field) <= 512
    assert len(invalid.message) <= 512


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
places = st.sampled_from(
    [("time",), ("id",), ("data",), ("data", "tags"), ("data", "cost_usd"), ("data", "gen_ai.usage.input_tokens")]
)


@given(places, json_values)
def test_whatever_json_says_gives_a_verdict_that_the_wire_struct_shares(place: tuple[str, ...], value: object) -> None:
    event = read_json(EXAMPLES / USAGE / "everything.json")
    target = event if len(place) == 1 else event["data"]
    target[place[-1]] = value
    verdict = validate_event(event)
    if isinstance(verdict, ValidEvent):
        msgspec.json.decode(verdict.wire, type=wire.UsageRecorded)
