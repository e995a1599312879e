"""Decisions of a whole stack, of every kind: kept as they were answered, and derived again from what they say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import msgspec
import pytest

from deploy.local.service import ALL
from deploy.local.stack import Stack
from schemas.policy import parse_policy
from services.adapters.clickhouse import open_client
from services.adapters.clock import steady_ms
from services.adapters.settings import Settings
from services.adapters.topics import partition_count
from services.cli.api import Api, open_api
from services.cli.commands.policy import apply_policy
from services.cli.connection import connect
from services.cli.rederivation import published, rederive_all
from services.core.decision import Decision

pytestmark = pytest.mark.timeout(300)

POLICY = {
    "organization": "acme",
    "timezone": "America/New_York",
    "budgets": [
        {"name": "company", "limit_usd": "20", "window": "day", "schedule": [{"when": "sat,sun", "factor": "0.5"}]},
        {
            "name": "search",
            "scope": {"project": "search"},
            "limit_usd": "0.50",
            "window": "day",
            "fallback": {"gpt-4o": "gpt-4o-mini"},
        },
        {
            "name": "agents",
            "scope": {"project": "agents"},
            "limit_usd": "0.10",
            "window": "day",
            "tiers": {"soft": "0.8", "throttle": "1", "hard": "1"},
            "grace": {"priorities": ["critical"], "percent": "50", "duration": "1h"},
        },
        {"name": "each-user", "scope": {"user": "*"}, "limit_usd": "0.30", "window": "hour"},
        {"name": "watched", "scope": {"team": "b"}, "limit_usd": "0.05", "window": "month", "on_hard": "monitor"},
        {"name": "priced", "scope": {"user": "eve"}, "limit_usd": "5", "window": "total", "on_unpriced": "deny"},
    ],
    "requests": {"max_output_tokens": 4000, "max_cost_usd": "0.20"},
}
MORE = {"name": "search", "limit_usd": "0.80", "window": "day", "scope": {"project": "search"}}
REQUESTS = 400
ENVIRONMENT = {"enforcer": {"SPENDGATE_SAMPLE_ALLOWS": "1"}}


def asks(random: Random, organization: str) -> dict[str, object]:
    """Anything that somebody may ask."""
    return {
        "organization": organization,
        "project": random.choice(["search", "agents", "other"]),
        "team": random.choice(["a", "b"]),
        "user": random.choice(["eve", "bob", "amal", "noor", "yuki"]),
        "model": random.choice(["gpt-4o", "gpt-4o", "gpt-4o-mini", "claude-haiku-4-5", "no-such-model"]),
        "priority": random.choice(["low", "normal", "normal", "critical"]),
        "tags": random.choice([{}, {"feature": "a/b @ c"}]),
        "dry_run": random.random() < 0.1,
        **random.choice(
            [
                {"input_tokens": random.randrange(4000), "max_output_tokens": random.randrange(2000)},
                {"input_tokens": random.randrange(4000)},
                {"input_chars": random.randrange(2000), "max_output_tokens": 100},
                {"messages": [{"role": "user", "content": "x" * random.randrange(500)}]},
                {"input_tokens": 100, "max_output_tokens": 5000},
                {"input_tokens": 100_000, "max_output_tokens": 10},
            ]
        ),
    }


async def ask_everything(api: Api, random: Random) -> list[dict[str, object]]:
    """Every decision that was answered; most of those that reserved are settled."""
    answers = []
    for number in range(REQUESTS):
        answer = await api.check(asks(random, "unlimited" if number % 20 == 0 else "acme"))
        answers.append(answer)
        if "reservation" in answer and random.random() < 0.8:
            used = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": random.randrange(1500)}
            await api.settle({"reservation": answer["reservation"]["id"], "cost_usd": "0.004", **used})
    return answers


async def on_topic(settings: Settings) -> dict[str, Decision]:
    partitions = range(await partition_count(settings))
    return {made.decision: made for partition in partitions async for made in published(settings, partition)}


def stored(settings: Settings) -> dict[str, str]:
    with open_client(settings.clickhouse) as client:
        rows = client.query("SELECT decision, explanation FROM decisions").result_rows
        return {str(decision): str(explanation) for decision, explanation in rows}


async def test_every_decision_is_kept_as_it_was_answered_and_derived_again(tmp_path: Path) -> None:
    async with Stack(tmp_path / "data", ALL, environment=ENVIRONMENT):
        connection, random = connect(tmp_path / "data"), Random(4)
        settings = connection.settings
        async with open_api(connection) as api:
            await apply_policy(api, parse_policy(POLICY), by="test", reason="", expected_version=0)
            answers = await ask_everything(api, random)
            changed = {**POLICY, "budgets": [*POLICY["budgets"][:1], MORE, *POLICY["budgets"][2:]]}  # type: ignore[index]
            await apply_policy(api, parse_policy(changed), by="test", reason="", expected_version=1)
            answers += await ask_everything(api, random)
        answered = {str(answer["decision"]): answer for answer in answers}
        deadline = steady_ms() + 30_000
        while not (answered.keys() <= (await on_topic(settings)).keys() and answered.keys() <= stored(settings).keys()):
            assert steady_ms() < deadline, "decisions are on their way for too long"
        topic, rows, derived = await on_topic(settings), stored(settings), await rederive_all(settings)
    assert rows == {name: msgspec.json.encode(decision).decode() for name, decision in topic.items()}
    for name, answer in answered.items():
        assert msgspec.json.decode(rows[name]) == {key: value for key, value in answer.items() if key != "error"}
    kinds = Counter(str(decision.reason) for decision in topic.values())
    assert kinds.keys() >= EXPECTED, kinds
    assert {decision.policy_version for decision in topic.values()} == {0, 1, 2}
    assert (derived.decisions, derived.different) == (len(topic), [])


EXPECTED = {
    "output_tokens_cap", "cost_cap", "unpriced_model", "budget_exceeded", "fell_back", "grace", "no_budget",
    "within_budget", "monitored", "paced",
}  # fmt: skip
