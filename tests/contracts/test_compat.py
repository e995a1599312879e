"""Breaking changes planted in real schemas are found, and harmless ones are let through."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas.compat import BaseUnknown, all_breaks, last_release, main, of_commit, of_directory
from schemas.compat_rules import breaks
from schemas.export import JSON_DIR
from tests.contracts.samples import Json, read_json

USAGE = read_json(JSON_DIR / "spendgate.usage.recorded.v1.json")
CLAIM = read_json(JSON_DIR / "spendgate.allowance.claimed.v1.json")
MODEL, PROJECT, STATUS, INPUT = "gen_ai.request.model", "project", "status", "gen_ai.usage.input_tokens"


class Part(NamedTuple):
    """One definition of a schema, to change."""

    schema: Json

    @property
    def fields(self) -> Json:
        fields: Json = self.schema["properties"]
        return fields

    @property
    def required(self) -> list[str]:
        required: list[str] = self.schema["required"]
        return required


Change = Callable[[Part], Any]


def changed(change: Change, schema: Json = USAGE, part: str = "Usage") -> list[str]:
    """What breaks when one definition changes."""
    new = copy.deepcopy(schema)
    change(Part(new["$defs"][part]))
    return sorted(map(str, breaks(schema, new)))


BREAKING: dict[str, tuple[Change, str]] = {
    "field removed": (lambda part: part.fields.pop("team"), "$.data.team: removed"),
    "field renamed": (lambda part: part.fields.update(squad=part.fields.pop("team")), "$.data.team: removed"),
    "field required": (lambda part: part.required.append(PROJECT), "$.data.project: is required now"),
    "required field added": (
        lambda part: part.schema.update(
            properties={**part.fields, "region": {"type": "string"}}, required=[*part.required, "region"]
        ),
        "$.data.region: is new and required",
    ),
    "null no longer read": (
        lambda part: part.fields.update(project={**part.fields[PROJECT]["anyOf"][0], "default": None}),
        "$.data.project: no longer reads null",
    ),
    "type changed": (
        lambda part: part.fields[MODEL].update(type="integer"),
        f"$.data.{MODEL}: no longer reads string",
    ),
    "enum narrowed": (
        lambda part: part.fields[STATUS]["enum"].remove("error"),
        "$.data.status: no longer reads 'error'",
    ),
    "free text enumerated": (lambda part: part.fields[MODEL].update(enum=["gpt-4o"]), "reads only ['gpt-4o'] now"),
    "maximum lowered": (
        lambda part: part.fields[INPUT]["anyOf"][0].update(maximum=1000),
        "maximum was 100000000 and is 1000",
    ),
    "minimum raised": (lambda part: part.fields[INPUT]["anyOf"][0].update(minimum=1), "minimum was 0 and is 1"),
    "length cut": (lambda part: part.fields[MODEL].update(maxLength=64), "maxLength was 256 and is 64"),
    "bound added": (lambda part: part.fields["streaming"].update(minLength=1), "minLength was free and is 1"),
    "pattern changed": (lambda part: part.fields[MODEL].update(pattern="^[a-z]+$"), "pattern was"),
    "format added": (lambda part: part.fields[MODEL].update(format="uri"), "format was 'free' and is 'uri'"),
    "default changed": (lambda part: part.fields[STATUS].update(default="error"), "the default was 'ok'"),
    "default dropped": (lambda part: part.fields[STATUS].pop("default"), "the default was 'ok' and is 'gone'"),
    "fewer entries": (lambda part: part.fields["tags"].update(maxProperties=8), "maxProperties was 64 and is 8"),
    "tag values cut": (
        lambda part: next(iter(part.fields["tags"]["patternProperties"].values())).update(maxLength=9),
        "$.data.tags.*: maxLength was 512 and is 9",
    ),
    "tag names ruled": (
        lambda part: part.fields["tags"]["patternProperties"].update({"^x": {"type": "null"}}),
        "fields that match ^x have a rule now",
    ),
    "tag names cut": (
        lambda part: part.fields["tags"]["propertyNames"].update(maxLength=9),
        "$.data.tags{name}: maxLength was 256 and is 9",
    ),
    "unknown rule": (lambda part: part.fields["tags"].update({"not": {}}), "not was 'free' and is {}"),
}

HARMLESS: dict[str, Change] = {
    "optional field added": lambda part: part.fields.update(region={"type": "string", "default": ""}),
    "no longer required": lambda part: part.required.remove(MODEL),
    "null read too": lambda part: part.fields.update({MODEL: {"anyOf": [part.fields[MODEL], {"type": "null"}]}}),
    "enum widened": lambda part: part.fields[STATUS]["enum"].append("timeout"),
    "integer to number": lambda part: part.fields[INPUT]["anyOf"][0].update(type="number"),
    "bounds widened": lambda part: part.fields[MODEL].update(maxLength=512, minLength=0),
    "pattern dropped": lambda part: part.fields[MODEL].pop("pattern"),
    "said better": lambda part: part.schema.update(description="What was used.", title="Used"),
    "unknown fields read": lambda part: part.schema.pop("additionalProperties"),
}


@pytest.mark.parametrize(("change", "says"), BREAKING.values(), ids=BREAKING)
def test_a_planted_break_is_found(change: Change, says: str) -> None:
    found = changed(change)
    assert any(says in each for each in found), found


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_a_harmless_change_is_let_through(change: Change) -> None:
    assert changed(change) == []


def test_lists_and_what_is_in_them_are_compared() -> None:
    claims = changed(lambda part: part.fields["claims"].update(maxItems=5), CLAIM, "AllowanceClaim")
    assert claims == ["$.data.claims: maxItems was 1024 and is 5"]
    inner = changed(lambda part: part.fields.pop("balance"), CLAIM, "Claim")
    assert inner == ["$.data.claims[].balance: removed"]


def test_closing_an_open_object_breaks() -> None:
    closed = {**USAGE, "additionalProperties": False}
    assert [str(each) for each in breaks(USAGE, closed)] == ["$: refuses unknown fields now"]
    typed = {**USAGE, "additionalProperties": {"type": "string"}}
    assert [str(each) for each in breaks(USAGE, typed)] == [
        "$.*: no longer reads array, boolean, integer, null, number, object"
    ]


def test_a_version_may_not_vanish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = of_directory(JSON_DIR)
    (tmp_path / "spendgate.usage.recorded.v0.json").write_text(json.dumps(USAGE))
    assert main(["--snapshot", str(tmp_path)]) == 1
    assert "spendgate.usage.recorded.v0.json: is gone" in capsys.readouterr().err
    assert list(all_breaks(old, old)) == []


def test_a_commit_can_be_the_base(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "tag.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    assert last_release(tmp_path) is None, "an archive has no history"
    git("init", "-q")
    (tmp_path / "schemas" / "json").mkdir(parents=True)
    (tmp_path / "schemas" / "json" / "usage.json").write_text(json.dumps(USAGE))
    git("add", ".")
    git("-c", "commit.gpgsign=false", "commit", "-q", "-m", "First")
    assert last_release(tmp_path) is None, "nothing is promised before the first release"
    git("tag", "v1")
    assert last_release(tmp_path) == "v1"
    assert of_commit("v1", tmp_path) == {"usage.json": USAGE}
    with pytest.raises(BaseUnknown, match="name a commit with --base"):
        of_commit("no-such-commit", tmp_path)


def test_an_unknown_base_is_an_error_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base", "no-such-commit"]) == 2
    assert "name a commit with --base" in capsys.readouterr().err
