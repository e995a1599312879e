"""The dashboards as Grafana reads them: complete, where they should be, and up to date; no engine needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploy.grafana.boards import ALL
from deploy.grafana.encode import encode
from deploy.grafana.macros import MacroError, Picked, closing, expand
from deploy.grafana.model import GRID_WIDTH, Dashboard, Panel, Sql
from deploy.grafana.render import FOLDER, rendered, stale, write
from deploy.grafana.sql import sql
from deploy.grafana.statements import statements

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
SOURCES: list[dict[str, Any]] = yaml.safe_load((GRAFANA / "datasources.yaml").read_text("utf-8"))["datasources"]
COMPOSE: dict[str, Any] = yaml.safe_load((GRAFANA.parent / "compose.yaml").read_text("utf-8"))
BOARDS = {board.uid: board for board in ALL}
VALUES = {
    "organization": "acme",
    "project": None,
    "tag": "feature",
    "scope": "org:acme",
    "period": "month",
    "budget": None,
    "zone": "UTC",
}
UIDS = ("spendgate-overview", "spendgate-budget", "spendgate-enforcement", "spendgate-forecasts", "spendgate-pipeline")


def test_there_are_the_five_dashboards_of_peoples_bookmarks() -> None:
    assert tuple(BOARDS) == UIDS


def test_the_committed_files_are_up_to_date() -> None:
    assert stale(FOLDER) == [], "run python -m deploy.grafana.render"


def test_check_finds_what_is_out_of_date(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "spendgate-budget.json").write_text("{}")
    (tmp_path / "gone.json").write_text("{}")
    command = [sys.executable, "-m", "deploy.grafana.render", "--check", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "out of date: gone.json, spendgate-budget.json" in done.stderr
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(rendered())
    assert subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_have_ids_of_their_own_and_do_not_overlap(uid: str) -> None:
    panels = json.loads(rendered()[f"{uid}.json"])["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids))
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= GRID_WIDTH for panel in panels)


@pytest.mark.parametrize("uid", BOARDS)
def test_rows_fill_the_width(uid: str) -> None:
    """A ragged edge is a panel whose width somebody forgot."""
    lines: dict[int, int] = {}
    for panel in encode(BOARDS[uid])["panels"]:
        lines[panel["gridPos"]["y"]] = lines.get(panel["gridPos"]["y"], 0) + panel["gridPos"]["w"]
    assert set(lines.values()) == {GRID_WIDTH}


@pytest.mark.parametrize("uid", BOARDS)
def test_only_data_sources_that_are_provisioned_are_asked(uid: str) -> None:
    known = {(source["type"], source["uid"]) for source in SOURCES}
    board = encode(BOARDS[uid])
    asked = [target for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [variable for variable in board["templating"]["list"] if variable["type"] == "query"]
    for each in asked:
        assert (each["datasource"]["type"], each["datasource"]["uid"]) in known


@pytest.mark.parametrize(
    ("board", "panel"), [(board, panel) for board in ALL for panel in board.panels()], ids=lambda each: each.title
)
def test_a_panel_explains_itself(board: Dashboard, panel: Panel) -> None:
    assert panel.says.endswith("."), board.uid
    assert panel.says != panel.title
    assert panel.targets


def test_titles_of_a_dashboard_are_unique_so_that_a_measurement_names_its_panel() -> None:
    names = [statement.name for statement in statements(Picked(0, 3600, values=VALUES))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("uid", BOARDS)
def test_a_query_uses_only_variables_that_are_chosen_before_it(uid: str) -> None:
    before: set[str] = set()
    for variable in BOARDS[uid].variables:
        assert set(re.findall(r"\$\{(\w+):", variable.query)) <= before
        before.add(variable.name)
    for panel in BOARDS[uid].panels():
        for target in panel.targets:
            if isinstance(target, Sql):
                assert set(re.findall(r"\$\{(\w+):", target.text)) <= before


@pytest.mark.parametrize("uid", BOARDS)
def test_no_value_is_put_into_a_query_in_a_form_that_could_end_a_literal(uid: str) -> None:
    for panel in BOARDS[uid].panels():
        for target in panel.targets:
            if isinstance(target, Sql):
                forms = re.findall(r"\$\{[^}]*\}", target.text)
                assert all(form.endswith(":customqueryparam:v}") for form in forms)
                assert not re.search(r"\$(?!__|\{)", target.text)


def test_no_query_has_a_backslash_which_the_plugins_parsers_read_differently() -> None:
    assert not [statement.name for statement in statements(Picked(0, 3600, values=VALUES)) if "\\" in statement.sql]


def test_money_is_divided_as_a_decimal() -> None:
    for statement in statements(Picked(0, 3600, values=VALUES)):
        assert "/ 1e9" not in statement.sql
        for found in re.finditer("/ 1000000000", statement.sql):
            assert re.search(r", 9\) $", statement.sql[: found.start()]), statement.name


def test_links_go_to_pages_of_the_console() -> None:
    paths = {panel.link for board in ALL for panel in board.panels() if panel.link is not None}
    assert paths <= {"/", "/alerts", "/anomalies", "/decisions", "/forecasts"}


def test_provisioning_reads_what_compose_mounts() -> None:
    mounted = dict(volume.split(":")[:2] for volume in COMPOSE["services"]["grafana"]["volumes"])
    (provider,) = yaml.safe_load((GRAFANA / "dashboards.yaml").read_text("utf-8"))["providers"]
    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    assert mounted["./grafana/datasources.yaml"].startswith("/etc/grafana/provisioning/datasources/")
    assert mounted["./grafana/dashboards.yaml"].startswith("/etc/grafana/provisioning/dashboards/")
    hosts = {source["jsonData"].get("host") or source["url"].split("/")[2].split(":")[0] for source in SOURCES}
    assert hosts <= set(COMPOSE["services"])


def test_plugins_are_pinned() -> None:
    plugin = COMPOSE["services"]["grafana"]["environment"]["GF_PLUGINS_PREINSTALL_SYNC"]
    assert re.fullmatch(r"[\w-]+@\d+\.\d+\.\d+", plugin)
    assert plugin.partition("@")[0] in {source["type"] for source in SOURCES}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=0), min_size=1))
def test_any_choice_reaches_the_engine_as_it_is_and_cannot_leave_its_literal(values: list[str]) -> None:
    text = expand("'${user:customqueryparam:v}'", Picked(0, 1, values={"user": values}))
    inside = text[1:-1]
    assert re.fullmatch(r"[A-Za-z0-9_.~=&%-]*", inside)
    assert [unquote(part[2:]) for part in inside.split("&")] == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WHERE $__timeFilter(hour)", "WHERE hour >= toDateTime(60) AND hour <= toDateTime(120)"),
        ("$__timeInterval(hour)", "toStartOfInterval(toDateTime(hour), INTERVAL 30 second)"),
        ("toDate($__fromTime)", "toDate(toDateTime(60))"),
        ("(hour < $__toTime)", "(hour < toDateTime(120))"),
        ("f(x, INTERVAL $__interval_s SECOND)", "f(x, INTERVAL 30 SECOND)"),
    ],
)
def test_macros_expand_as_the_plugin_expands_them(text: str, expected: str) -> None:
    assert expand(text, Picked(60, 120, 30)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "WHERE hour >= $__fromTime AND f(x)",  # the older parser swallows up to the next parenthesis
        "WHERE hour >= $__fromTime",
        "$__timeInterval($__fromTime)",  # 4.19.0 leaves the inner one as it is
        "$__timeFilter(toDateTime(x, 'UTC'))",  # the older parser splits at the comma
        "$__timeFilter",
        "$__timeFilter(hour",
        "$__dateFilter(day)",
        "'${user}'",
        "'${user:customqueryparam:v}'",
        "$user",
    ],
)
def test_what_a_plugin_might_read_otherwise_is_refused(text: str) -> None:
    with pytest.raises(MacroError):
        expand(text, Picked(60, 120, 30))


def test_an_amount_may_hold_parentheses() -> None:
    assert sql("@usd(sum(f(x))) + 1") == "toDecimal128(sum(f(x)), 9) / 1000000000 + 1"
    assert closing("(a(b)c)d") == 6
    with pytest.raises(MacroError, match="does not end"):
        sql("@usd(sum(x)")
