"""The gate to the ledger: from decoded JSON to canonical bytes, or to the field and the reason why not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from schemas.catalog import CATALOG, EDGE_TYPES
from schemas.envelope import CloudEvent
from schemas.fields import Name
from schemas.problems import PATH_CHARACTERS_MAX, Problem, advice, json_path

Reason = Literal[
    "missing", "unknown_field", "wrong_type", "unknown_value", "bad_format", "out_of_range", "too_large", "too_small",
    "inconsistent", "invalid", "unknown_type",
]  # fmt: skip

_REASONS: Mapping[str, Reason] = {
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "literal_error": "unknown_value",
    "string_pattern_mismatch": "bad_format",
    "string_unicode": "bad_format",
    "instant": "bad_format",
    "day": "bad_format",
    "usd_float": "wrong_type",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "out_of_range",
    "string_too_long": "too_large",
    "too_long": "too_large",
    "string_too_short": "too_small",
    "too_short": "too_small",
    "inconsistent": "inconsistent",
}
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class ValidEvent:
    """An event as the ledger keeps it. `organization` is empty for the few types that belong to none."""

    type: str
    organization: str
    wire: bytes
    event: CloudEvent


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why an event cannot be kept. `field`: a JSON path, empty for the whole. `organization`: whose it claims to be."""

    field: str
    reason: Reason
    message: str
    organization: str | None = None


def validate_event(event: object, types: Collection[str] = EDGE_TYPES) -> ValidEvent | Invalid:
    """Validate one CloudEvent of one of `types`, already decoded from JSON. Never raises on anything JSON can say."""
    if not isinstance(event, dict):
        return Invalid("", "wrong_type", "an event is a JSON object")
    name = event.get("type")
    if name is None:
        return Invalid("type", "missing", "is required: add it", _claimed_organization(event))
    if not isinstance(name, str) or name not in types or name not in CATALOG:
        return Invalid("type", "unknown_type", f"must be {_one_of(types)}", _claimed_organization(event))
    try:
        valid = CATALOG[name].model.model_validate(event)
    except ValidationError as error:
        return _invalid(error, event)
    return ValidEvent(name, valid.organization, valid.to_wire(), valid)


def _invalid(error: ValidationError, event: Mapping[str, Any]) -> Invalid:
    details = error.errors(include_url=False, include_input=False)[0]
    context = details.get("ctx", {})
    field = json_path(details["loc"])[:PATH_CHARACTERS_MAX]
    if details["type"] == "problems":
        problem: Problem = context["problems"][0]
        return Invalid(_join(field, problem.path), "invalid", problem.message, _claimed_organization(event))
    return Invalid(
        _join(field, context.get("field", "")), _reason(details), advice(details, {}), _claimed_organization(event)
    )


def _reason(details: ErrorDetails) -> Reason:
    kind = details["type"]
    return "wrong_type" if kind.endswith("_type") else _REASONS.get(kind, "invalid")


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path and field else path or field


def _one_of(types: Collection[str]) -> str:
    return " or ".join(sorted(types))


def _claimed_organization(event: Mapping[str, Any]) -> str | None:
    data = event.get("data")
    claimed = data.get("organization") if isinstance(data, dict) else None
    try:
        return _NAME.validate_python(claimed, strict=True)
    except ValidationError:
        return None
