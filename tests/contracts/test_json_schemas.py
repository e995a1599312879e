"""The exported JSON Schemas are what the models say, and accept and refuse the examples on their own."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from schemas.export import JSON_DIR, drift, exported, main
from schemas.policy import load_policy
from tests.contracts.samples import (
    EXAMPLES,
    POLICY,
    InvalidSample,
    Json,
    invalid_events,
    policies,
    read_json,
    valid_events,
)

# What a JSON Schema cannot say: one field against another, sums over a policy, and calendars.
BEYOND_SCHEMA = {"inconsistent", "invalid"}
NO_SUCH_DAY = "2026-02-30T13:05:00Z"


def validator(name: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(read_json(JSON_DIR / f"{name}.json"))


def test_the_committed_schemas_are_those_of_the_models() -> None:
    assert drift(JSON_DIR, exported()) == []


def test_drift_is_found(tmp_path: Path) -> None:
    files = exported()
    assert main(["--dir", str(tmp_path)]) == 0
    assert main(["--dir", str(tmp_path), "--check"]) == 0
    (tmp_path / "orphan.json").write_text("{}")
    (tmp_path / "spendgate.boost.granted.v1.json").unlink()
    (tmp_path / "spendgate.usage.recorded.v1.json").write_text("{}")
    assert drift(tmp_path, files) == [
        "spendgate.boost.granted.v1.json is missing",
        "orphan.json belongs to no model",
        "spendgate.usage.recorded.v1.json differs from its model",
    ]
    assert main(["--dir", str(tmp_path), "--check"]) == 1
    assert main(["--dir", str(tmp_path)]) == 0
    assert drift(tmp_path, files) == []


@pytest.mark.parametrize(("name", "event"), valid_events())
def test_a_schema_accepts_its_examples(name: str, event: Json) -> None:
    validator(name).validate(event)


@pytest.mark.parametrize(
    ("name", "sample"), [case for case in invalid_events() if case.values[1].reason not in BEYOND_SCHEMA]
)
def test_a_schema_refuses_invalid_examples(name: str, sample: InvalidSample) -> None:
    assert validator(name).is_valid(sample.event) == (sample.event.get("time") == NO_SUCH_DAY)


@pytest.mark.parametrize("text", policies(EXAMPLES))
def test_the_policy_schema_accepts_policies_as_sent(text: str) -> None:
    validator(POLICY).validate(json.loads(load_policy(text).model_dump_json()))
