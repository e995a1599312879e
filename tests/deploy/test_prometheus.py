"""The rules and the scrape configuration: they parse, name what exists, and tell people what to do."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from deploy.grafana.boards import ALL
from deploy.grafana.model import Prom
from deploy.local.service import ALL as KINDS
from deploy.local.service import kind_of
from services.adapters.metrics import DEFINITIONS
from services.cli.app import app
from tests.deploy.promql import Asked
from tests.deploy.test_compose import OURS

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIGURATION: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
GROUPS: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))["groups"]
RULES: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
PANELS = {
    f"{board.uid}: {panel.title} {number}": target.expr
    for board in ALL
    for panel in board.panels()
    for number, target in enumerate(panel.targets)
    if isinstance(target, Prom)
}
EXPRESSIONS = {**{name: rule["expr"] for name, rule in RULES.items()}, **PANELS}
OF_EVERY_PROCESS = (
    "up",
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
)
LABELS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(OF_EVERY_PROCESS, ()),
    **{metric: defined.labels for metric, defined in DEFINITIONS.items()},
}
OF_THE_SCRAPE = {"job", "instance", "le"}
COMMANDS = typer.main.get_command(app)


def family(metric: str) -> str:
    """The name under which a series is defined: a histogram has three of them."""
    base = re.sub(r"_(bucket|sum|count)$", "", metric)
    return base if base in DEFINITIONS else metric


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_parse_and_name_metrics_and_labels_that_exist(name: str) -> None:
    asked = Asked(EXPRESSIONS[name])
    families = {family(metric) for metric in asked.metrics}
    assert families
    assert families <= LABELS.keys()
    assert asked.labels <= {*OF_THE_SCRAPE, *chain.from_iterable(LABELS[each] for each in families)}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_series_of_a_histogram_are_asked_for_as_such(name: str) -> None:
    for metric in Asked(EXPRESSIONS[name]).metrics:
        timed = family(metric).endswith("_seconds") and family(metric) in DEFINITIONS and "age" not in metric
        assert (family(metric) != metric) == (timed and "ahead" not in metric)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_counters_are_never_read_without_a_rate(name: str) -> None:
    """A counter starts anew with its process: only what it grew by means anything."""
    text = re.sub(r"unless \w+ offset \w+|\w+_total unless", "", EXPRESSIONS[name])
    for metric in Asked(EXPRESSIONS[name]).metrics:
        if metric.endswith("_total") and metric in text:
            assert re.search(rf"(rate|increase)\({metric}[{{[]", text)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_what_is_the_matter_and_what_to_do(name: str) -> None:
    rule = RULES[name]
    assert re.fullmatch(r"Spendgate[A-Z]\w+", name)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "advice", "runbook"}
    assert all(text.strip() for text in rule["annotations"].values())
    assert re.match(r"1\. \S", rule["annotations"]["runbook"])
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


@pytest.mark.parametrize("name", RULES)
def test_a_rule_fills_in_only_labels_that_its_expression_keeps(name: str) -> None:
    rule = RULES[name]
    text = "".join(rule["annotations"].values())
    asked = Asked(rule["expr"])
    kept = asked.labels | (OF_THE_SCRAPE if "by (" not in rule["expr"] and "sum(" not in rule["expr"] else set())
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= kept


@pytest.mark.parametrize("name", RULES)
def test_commands_that_a_rule_advises_exist(name: str) -> None:
    for words in re.findall(r"`spendgate ([a-z -]+)", RULES[name]["annotations"]["runbook"]):
        command: Any = COMMANDS
        for word in words.split():
            if word.startswith("-") or not hasattr(command, "commands"):
                break
            command = command.commands[word]


def test_names_of_rules_are_unique() -> None:
    assert len(RULES) == sum(len(group["rules"]) for group in GROUPS)


def test_every_service_of_the_compose_file_is_scraped_and_nothing_else() -> None:
    jobs = {
        job["job_name"]: {target for each in job["static_configs"] for target in each["targets"]}
        for job in CONFIGURATION["scrape_configs"]
    }
    wanted = {f"spendgate-{kind}": {f"{name}:8080" for name in OURS if kind_of(name) == kind} for kind in KINDS}
    assert jobs == wanted


def test_the_rules_are_where_the_configuration_looks() -> None:
    assert CONFIGURATION["rule_files"] == ["rules.yml"]


def test_every_overspend_metric_has_a_rule_and_a_panel() -> None:
    metrics = {name for name in DEFINITIONS if name.startswith("spendgate_overspend_")}
    for expressions in ([rule["expr"] for rule in RULES.values()], PANELS.values()):
        assert metrics <= set().union(*[Asked(expr).metrics for expr in expressions])
