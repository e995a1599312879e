"""What the command says without a stack: help that teaches, errors that say what to do, meaningful exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from services.adapters.keys import Keyring, Role
from services.cli.app import app
from services.cli.connection import connect
from services.cli.errors import NoStack

COMMANDS = [
    "up",
    "env",
    "demo",
    "replay",
    "policy apply",
    "policy diff",
    "policy show",
    "policy propose",
    "policy proposals",
    "policy review",
    "policy boost",
    "policy rollback",
    "policy log",
    "status",
    "check",
    "top",
    "report",
    "report weekly",
    "report quarterly",
    "report accountability",
    "report focus",
    "decisions",
    "explain",
    "audit",
    "ack",
    "alerts",
    "anomalies",
    "forecast show",
]


def spendgate(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real command, away from any stack of the person who tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPENDGATE_")}
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize("command", [*COMMANDS, "keys create"])
def test_every_command_explains_itself_with_an_example(command: str, tmp_path: Path) -> None:
    shown = spendgate(*command.split(), "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert f"Example:  spendgate {command}" in shown.stdout
    assert "\x1b[" not in shown.stdout


def test_a_letter_stands_for_the_same_option_in_every_command() -> None:
    meanings = defaultdict(set)
    for names in options_below(typer.main.get_command(app)):
        for letter in (name for name in names if name.startswith("-") and len(name) == 2):
            meanings[letter].add(next(name for name in names if name.startswith("--")))
    meant = {"-f": "--format", "-o": "--org", "-p": "--period", "-v": "--verbose", "-w": "--output", "-y": "--yes"}
    assert meanings == {letter: {name} for letter, name in meant.items()}


def options_below(command: Any) -> Iterator[list[str]]:
    """The names of each parameter of a command and of all commands below it."""
    yield from (parameter.opts for parameter in command.params)
    for below in getattr(command, "commands", {}).values():
        yield from options_below(below)


def test_without_a_stack_it_says_what_to_do(tmp_path: Path) -> None:
    found = spendgate("status", "org:acme", cwd=tmp_path)
    assert found.returncode == NoStack.exit_code
    assert "no running stack" in found.stderr
    assert "spendgate up" in found.stderr
    assert "SPENDGATE_ENFORCER_URL" in found.stderr


@pytest.mark.parametrize("report", ["weekly", "quarterly", "accountability", "focus"])
def test_a_report_without_a_stack_says_what_to_do_and_writes_nothing(report: str, tmp_path: Path) -> None:
    found = spendgate("report", report, "-w", "out.file", cwd=tmp_path)
    assert found.returncode == NoStack.exit_code
    assert "spendgate up" in found.stderr
    assert not (tmp_path / "out.file").exists()


def test_parquet_needs_a_file(tmp_path: Path) -> None:
    found = spendgate("report", "focus", "--format", "parquet", cwd=tmp_path)
    assert found.returncode == 1
    assert "-w focus.parquet" in found.stderr


def test_a_service_that_does_not_answer_is_told_apart(tmp_path: Path) -> None:
    found = spendgate(
        "status",
        "org:acme",
        cwd=tmp_path,
        SPENDGATE_ENFORCER_URL="http://127.0.0.1:9",
        SPENDGATE_TOKEN="sg_viewer_x",
    )
    assert found.returncode == 4
    assert "127.0.0.1:9" in found.stderr


def test_an_address_that_is_none_is_told_before_anything_is_asked(stack: Path) -> None:
    found = spendgate("status", "org:acme", "--data", str(stack), "--enforcer-url", "localhost:8082", cwd=stack)
    assert found.returncode == 1
    assert "'localhost:8082' is no address of enforcer" in found.stderr
    assert "http://HOST:PORT" in found.stderr


def test_a_wrong_policy_is_mended_by_line(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text("organization: acme\nbudgets:\n  - {name: a, limit_usd: -1, window: dai}\n")
    found = spendgate(
        "policy", "apply", "acme.yaml", cwd=tmp_path, SPENDGATE_INGEST_URL="http://127.0.0.1:9", SPENDGATE_TOKEN="x"
    )
    assert found.returncode == 1
    assert "budgets[0].limit_usd (line 3)" in found.stderr
    assert "budgets[0].window (line 3)" in found.stderr


def test_a_wrong_environment_names_the_variable(tmp_path: Path) -> None:
    found = spendgate("top", cwd=tmp_path, SPENDGATE_PORT="many")
    assert found.returncode == 1
    assert "SPENDGATE_PORT" in found.stderr


def test_a_new_key_is_shown_once_and_works(tmp_path: Path) -> None:
    keys_file = tmp_path / "keys.json"
    made = [
        spendgate("keys", "create", "--role", role, "--org", "acme", "--keys-file", str(keys_file), cwd=tmp_path)
        for role in ("edge", "viewer")
    ]
    tokens = [done.stdout.strip() for done in made]
    keyring = Keyring.load(keys_file)
    principals = [keyring.authenticate(token) for token in tokens]
    assert [p and (p.role, p.organization) for p in principals] == [(Role.EDGE, "acme"), (Role.VIEWER, "acme")]
    listed = spendgate("keys", "list", "--keys-file", str(keys_file), cwd=tmp_path)
    assert "viewer" in listed.stdout
    assert not any(token in listed.stdout or token in keys_file.read_text() for token in tokens)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stack, as far as a command can see; the environment says nothing."""
    for name in [name for name in os.environ if name.startswith("SPENDGATE_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "a stack"
    folder.mkdir()
    for role in Role:
        (folder / f"{role}.token").write_text(f"sg_{role}_stack\n")
    told: dict[str, object] = {"kafka": "k:1", "clickhouse": "http://u:p&w@c:1/d", "topic_prefix": "t.", "pid": 1}
    told |= {"ingest": "http://i:1", "enforcer": "http://e:1/", "console": "http://c:1"}
    told["keys"] = {str(role): str(folder / f"{role}.token") for role in Role}
    (folder / "stack.json").write_bytes(msgspec.json.encode(told))
    return folder


def test_flags_win_over_the_environment_and_the_environment_over_a_local_stack(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPENDGATE_DATA", str(stack))
    monkeypatch.setenv("SPENDGATE_KAFKA", "k:2")
    monkeypatch.setenv("SPENDGATE_INGEST_URL", "http://i:2")
    found = connect(enforcer_url="http://e:3")
    assert (found.settings.kafka, found.settings.topic_prefix) == ("k:2", "t.")
    urls = found.need("ingest"), found.need("enforcer")
    assert (*urls, found.need_token()) == ("http://i:2", "http://e:3", "sg_admin_stack")
    named = connect(stack)
    assert (named.settings.kafka, named.need("ingest"), named.need("enforcer")) == ("k:1", "http://i:1", "http://e:1")
    with pytest.raises(NoStack):
        connect(stack / "elsewhere")


def test_a_command_takes_the_key_it_needs_from_a_stack_and_never_replaces_one_of_another_place(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPENDGATE_DATA", str(stack))
    for exported in ("sg_edge_stack", "sg_viewer_stack"):
        monkeypatch.setenv("SPENDGATE_TOKEN", exported)
        assert connect(role=Role.ADMIN).token == "sg_admin_stack"
        assert connect(role=Role.EDGE).token == "sg_edge_stack"
    assert connect(role=Role.ADMIN, token="sg_edge_stack").token == "sg_edge_stack"
    monkeypatch.setenv("SPENDGATE_TOKEN", "sg_edge_elsewhere")
    assert connect(role=Role.ADMIN).token == "sg_edge_elsewhere"
    assert connect(stack, role=Role.ADMIN).token == "sg_admin_stack"


def test_env_gives_a_shell_what_commands_and_gateways_read(stack: Path, tmp_path: Path) -> None:
    printed = spendgate("env", "--role", "viewer", "--data", stack.name, cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    names = ("DATA", "INGEST_URL", "ENFORCER_URL", "CONSOLE_URL", "TOKEN", "KAFKA", "TOPIC_PREFIX", "CLICKHOUSE")
    script = 'eval "$1"; printf "%s\\n" ' + " ".join(f'"$SPENDGATE_{name}"' for name in names)
    taken = subprocess.run(["bash", "-euc", script, "-", printed.stdout], capture_output=True, text=True)
    expected = [
        str(stack),
        "http://i:1",
        "http://e:1/",
        "http://c:1",
        "sg_viewer_stack",
        "k:1",
        "t.",
        "http://u:p&w@c:1/d",
    ]
    assert taken.stdout.splitlines() == expected, taken.stderr
    assert spendgate("env", cwd=tmp_path).returncode == NoStack.exit_code
    assert spendgate("env", cwd=tmp_path).stdout == ""
