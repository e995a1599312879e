"""The `spendgate` command line: its commands, and how their errors reach a person."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version as version_of
from typing import Annotated

import structlog
import typer
from rich.text import Text

from services.cli.commands import (
    ack,
    audit,
    check,
    decisions,
    demo,
    enforcer,
    env,
    explain,
    forecast,
    foreseen,
    governance,
    invoice,
    keys,
    policy,
    policy_log,
    policy_move,
    policy_review,
    policy_simulate,
    replay,
    report,
    status,
    top,
    up,
    whatif,
)
from services.cli.errors import CliError
from services.cli.render import console

INTERRUPTED = 130
HELP = """Budget control for LLM API gateways.

To see it at work: [bold]spendgate demo[/bold] runs everything on this machine and replays an hour of real traffic.

To try it yourself: [bold]spendgate up[/bold] in one terminal; in another, [bold]spendgate policy apply FILE[/bold], \
[bold]spendgate replay TRACE[/bold], [bold]spendgate top[/bold]."""

app = typer.Typer(
    name="spendgate",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=HELP,
    epilog="Exit codes: 0 done, 1 refused or not equal, 2 wrong usage, 3 no stack found, 4 a service does not answer.",
)

RUN, LOOK, CHANGE = "Run", "Look", "Change"


def _add(command: Callable[..., None], panel: str, example: str) -> None:
    app.command(help=_help(command), epilog=f"Example:  spendgate {example}", rich_help_panel=panel)(command)


def _add_group(
    command: Callable[..., None], panel: str, example: str, below: Mapping[Callable[..., None], str]
) -> None:
    """A command that has others below it: it runs by itself when none of them is named."""
    group = typer.Typer(invoke_without_command=True)
    group.callback(help=_help(command), epilog=f"Example:  spendgate {example}")(command)
    for each, shown in below.items():
        group.command(help=_help(each), epilog=f"Example:  spendgate {shown}")(each)
    app.add_typer(group, name=command.__name__, rich_help_panel=panel)


def _help(command: Callable[..., None]) -> str:
    return paragraphs(inspect.getdoc(command) or "")


def paragraphs(text: str) -> str:
    """Each paragraph on one line, for the terminal to wrap; indented ones stay as they are."""
    found = text.split("\n\n")
    return "\n\n".join(each if each.startswith(" ") else each.replace("\n", " ") for each in found)


_add(up.up, RUN, "up --data ./data --port ingest=8081 --port enforcer=8082")
_add(env.env, RUN, "env --role viewer")
_add(demo.demo, RUN, "demo --within 30 --seed 7")
_add(replay.replay, RUN, "replay requests.csv.gz --model gpt-4o-mini --input-column prompt_len --within 60")
_add(status.status, LOOK, "status org:acme/project:assistant --at 2026-11-24T13:00")
_add(check.check, LOOK, "check gpt-4o --user alice --input-tokens 1200 --max-output-tokens 400 --at 2:17")
_add(top.top, LOOK, "top --window hour")
_add_group(
    report.report,
    LOOK,
    "report --by user --period last-month --compare --top 20",
    {
        governance.weekly: "report weekly --period 2026-W48 -w weekly.html",
        governance.quarterly: "report quarterly -w plan.html",
        governance.accountability: "report accountability --period 2026-11 -w november.html",
        governance.focus: "report focus --period 2026-11 -w focus.parquet",
    },
)
_add(decisions.decisions, LOOK, "decisions --denied --since 2026-11-24")
_add(explain.explain, LOOK, "explain dec-enforcer-1f0c9a2b-mie8k3x9-1")
_add(whatif.whatif, LOOK, "whatif tighter.yaml --since 2026-11-01 --by team")
_add(audit.audit, LOOK, "audit && echo every sum is exact")
_add(foreseen.alerts, LOOK, "alerts --kind projection")
_add(foreseen.anomalies, LOOK, "anomalies --scope org:acme/project:search")
app.add_typer(forecast.app, name="forecast", rich_help_panel=LOOK)
for beside in (policy_review, policy_log, policy_move, policy_simulate):  # their commands stand below `policy`
    policy.app.add_typer(beside.app)
_add(ack.ack, CHANGE, "ack 'company-month/org:acme@month:2026-11/9000' --org acme --note 'on it'")
app.add_typer(invoice.app, name="invoice", rich_help_panel=CHANGE)
app.add_typer(policy.app, name="policy", rich_help_panel=CHANGE)
app.add_typer(enforcer.app, name="enforcer", rich_help_panel=CHANGE)
app.add_typer(keys.app, name="keys", rich_help_panel=CHANGE)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spendgate {version_of('spendgate')}")
        raise typer.Exit


@app.callback()
def spendgate(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that come before the command."""


def main() -> None:
    """Run the command line; what is expected to go wrong becomes a line, advice and an exit code."""
    _quiet_libraries()
    try:
        app()
    except CliError as error:
        err = console(stderr=True)
        err.print(Text.assemble(("error: ", "bold red"), error.message), soft_wrap=True)
        if error.advice:
            err.print(f"  try: {error.advice}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console(stderr=True).print("interrupted")
        sys.exit(INTERRUPTED)


def _quiet_libraries() -> None:
    """Logs are for services; here, what matters is said by the command itself."""
    logging.disable(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
