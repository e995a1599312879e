"""Each policy example is read, each invalid one says where it is wrong and what to do about it."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import basis_points, duration_ms
from schemas.policy import BUDGETS_MAX, load_policy, parse_policy
from schemas.problems import DocumentError
from schemas.strict_yaml import TEXT_CHARACTERS_MAX, read_yaml
from schemas.when import when_problem
from tests.contracts.samples import EXAMPLES, INVALID, POLICY, policies

ACME = (EXAMPLES / POLICY / "acme.yaml").read_text("utf-8")


@pytest.mark.parametrize("text", policies(EXAMPLES))
def test_a_valid_policy_survives_json(text: str) -> None:
    policy = load_policy(text)
    dumped = json.loads(json.dumps(policy.model_dump(mode="json")))
    assert parse_policy(dumped) == policy
    assert parse_policy(dumped).model_dump(mode="json") == dumped


@pytest.mark.parametrize("text", policies(INVALID))
def test_an_invalid_policy_says_where_and_what_to_do(text: str) -> None:
    path, says = re.findall(r"^# (?:path|says): ?(.*)$", text, re.MULTILINE)
    with pytest.raises(DocumentError) as refusal:
        load_policy(text)
    messages = {problem.path: problem.message for problem in refusal.value.problems}
    assert says in messages[path], messages
    for problem in refusal.value.problems:
        assert problem.line is None or problem.line > 2, "the first two lines are the expectation"


def test_the_designed_example_means_what_it_says() -> None:
    policy = load_policy(ACME)
    month = policy.budgets[0]
    assert month.alert_points == (5000, 7500, 9000, 10_000)
    assert month.tiers.points == (8000, 9000, 10_000)
    assert [rule.points for rule in month.schedule] == [2500, 5000]
    assert month.grace
    assert (month.grace.points, month.grace.duration_ms) == (500, 7_200_000)
    assert policy.budgets[3].scope == {"user": "*"}
    assert policy.budgets[6].scope == {"tag.feature": "autocomplete"}
    assert policy.requests.max_cost_usd == "2.00"


def test_every_problem_is_told_at_once_with_its_line() -> None:
    text = "organization: acme\ntimezone: Mars\nbudgets:\n  - name: a b\n    limit_usd: 5\n    window: day\n"
    with pytest.raises(DocumentError) as refusal:
        load_policy(text)
    assert [(problem.path, problem.line) for problem in refusal.value.problems] == [
        ("timezone", 2),
        ("budgets[0].name", 4),
    ]
    assert "2 problems" in str(refusal.value)


def test_long_lists_of_problems_are_cut() -> None:
    budgets = [{"name": f"b{n}", "limit_usd": "1", "window": "never"} for n in range(30)]
    with pytest.raises(DocumentError, match="and 10 more"):
        parse_policy({"organization": "acme", "budgets": budgets})


def test_a_policy_is_bounded() -> None:
    budgets = [{"name": f"b{n}", "limit_usd": "1", "window": "day"} for n in range(BUDGETS_MAX + 1)]
    with pytest.raises(DocumentError, match="at most 1000 items"):
        parse_policy({"organization": "acme", "budgets": budgets})
    with pytest.raises(DocumentError, match="characters: split it"):
        load_policy("#" * (TEXT_CHARACTERS_MAX + 1))


def test_only_whole_numbers_and_three_words_are_no_texts() -> None:
    assert read_yaml("{a: 0.10, b: 1e5, c: 0x10, d: 1_000, e: 12:30, f: 2026-01-01, g: 007, h: 1.0}", "test").value == {
        "a": "0.10",
        "b": "1e5",
        "c": "0x10",
        "d": "1_000",
        "e": "12:30",
        "f": "2026-01-01",
        "g": "007",
        "h": "1.0",
    }
    assert read_yaml('{a: true, b: "true", c: null, d: "null", e: no, f: , g: 12, h: "12", i: -3}', "test").value == {
        "a": True,
        "b": "true",
        "c": None,
        "d": "null",
        "e": "no",
        "f": None,
        "g": 12,
        "h": "12",
        "i": -3,
    }


def test_money_in_json_is_text_or_whole_dollars() -> None:
    budget = {"name": "a", "window": "day"}
    policy = parse_policy({"organization": "acme", "budgets": [{**budget, "limit_usd": 5}]})
    assert policy.budgets[0].limit_usd == "5"
    with pytest.raises(DocumentError, match="write dollars as a string"):
        parse_policy({"organization": "acme", "budgets": [{**budget, "limit_usd": 5.5}]})


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        policy = load_policy(text)
    except DocumentError as error:
        policy, problems = None, error.problems
    else:
        problems = ()
    assert (policy is None) == bool(problems)


@given(st.integers(0, 99_999))
def test_basis_points_are_exact(points: int) -> None:
    assert basis_points(Decimal(points).scaleb(-4)) == points


def test_basis_points_refuse_what_they_cannot_hold() -> None:
    with pytest.raises(ValueError, match="four decimals"):
        basis_points(Decimal("0.00001"))


@pytest.mark.parametrize(("text", "ms"), [("90s", 90_000), ("30m", 1_800_000), ("2h", 7_200_000), ("7d", 604_800_000)])
def test_durations(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize(
    "text", ["sat,sun", "fri-mon", "mon,wed-fri", "22:00-06:00", "00:00-24:00", "mon-fri 09:00-17:00", "2026-12-24",
             "2026-12-24..2026-12-26", "2026-12-31..2027-01-01 18:00-24:00"],
)  # fmt: skip
def test_a_readable_when(text: str) -> None:
    assert when_problem(text) is None


@pytest.mark.parametrize(
    "text", ["", " ", "weekends", "Mon", "mon-", "mon, tue", "mon 09:00", "mon  09:00-10:00", "09:00-10:00 mon",
             "24:00-25:00", "9:00-10:00", "09:00-09:00", "2026-02-29", "2026-12-26..2026-12-24", "mon 2026-12-24",
             "\uff12\uff12:00-06:00", "mon\n"],
)  # fmt: skip
def test_an_unreadable_when(text: str) -> None:
    assert when_problem(text)
