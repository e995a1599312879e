"""`spendgate policy`: look at the policy in force, see what a new one would change, and apply it."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.syntax import Syntax

from schemas.policy import Policy, load_policy, parse_policy
from schemas.problems import DocumentError
from services.cli import options
from services.cli.api import Api, Refused, open_api
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.policies import Change, changes, written
from services.cli.render import console, table
from services.core.effects import PolicyEntry
from services.core.unenforced import unenforced

app = typer.Typer(no_args_is_help=True, help="Show, compare and apply the policy of an organization.")

File = Annotated[Path, typer.Argument(help="A policy as YAML, such as examples/policies/acme.yaml.")]


@app.command("show", epilog="Example:  spendgate policy show --org acme > acme.yaml")
def show(
    organization: options.Organization = None,
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """Print the policy in force as YAML, ready to be edited and applied again."""
    connection = options.connection_of(data, ingest_url, None, token)
    name = options.need_organization(organization, connection)
    entry = options.run(_in_force(connection, name), connection)
    if entry is None:
        raise CliError(f"{name} has no policy", advice="apply one: `spendgate policy apply FILE`")
    text = f"# version {entry.version}, applied by {entry.by}{': ' + entry.reason if entry.reason else ''}\n"
    out = console()
    yaml_text = text + written(parse_policy(entry.policy))
    if out.is_terminal:
        out.print(Syntax(yaml_text, "yaml", background_color="default"))
    else:
        typer.echo(yaml_text, nl=False)


@app.command("diff", epilog="Example:  spendgate policy diff acme.yaml || spendgate policy apply acme.yaml")
def diff(
    file: File, data: options.Data = None, ingest_url: options.IngestUrl = None, token: options.Token = None
) -> None:
    """Show what applying FILE would change. Exit code 0: nothing; 1: something."""
    connection = options.connection_of(data, ingest_url, None, token)
    policy = read_policy(file)
    entry = options.run(_in_force(connection, policy.organization), connection)
    found = _changes(entry, policy)
    print_changes(found, policy.organization, entry)
    print_notes(unenforced(policy))
    raise typer.Exit(1 if found else 0)


@app.command("apply", epilog='Example:  spendgate policy apply acme.yaml --reason "Q3 plan"')
def apply(
    file: File,
    reason: Annotated[str, typer.Option(help="Why, for those who read the history.")] = "",
    by: Annotated[str, typer.Option(help="Who makes the change.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Apply even if it changes nothing.")] = False,
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """Put the policy in FILE in force, after showing what it changes, and wait until it is."""
    connection = options.connection_of(data, ingest_url, None, token)
    policy = read_policy(file)
    options.run(_apply(connection, policy, by or getpass.getuser(), reason, force=force), connection)


def read_policy(file: Path) -> Policy:
    """The policy in a file. Raises CliError with every problem and its line."""
    try:
        return load_policy(file.read_text())
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}") from error
    except (DocumentError, UnicodeDecodeError) as error:
        raise CliError(f"{file}: {error}", advice="mend the lines named above; nothing was changed") from error


async def apply_policy(api: Api, policy: Policy, *, by: str, reason: str, expected_version: int) -> dict[str, Any]:
    """Apply a policy; ingest's answer, once it is in force. Raises CliError, also when somebody else was faster."""
    change = {
        "policy": policy.model_dump(mode="json"),
        "by": by,
        "reason": reason,
        "expected_version": expected_version,
    }
    try:
        answer = await api.apply_policy(change)
    except Refused as refused:
        if refused.code == "version_conflict":
            raise CliError(
                f"{policy.organization} got another policy in the meantime: {refused.message}",
                advice="look at it with `spendgate policy diff`, then apply again",
            ) from refused
        if refused.code == "review_required":
            raise CliError(
                f"{policy.organization} asks for a second person: {refused.message}",
                advice="`spendgate policy propose FILE`, then another person: `spendgate policy review`",
            ) from refused
        raise
    if not answer["applied"]:
        raise CliError(
            "the policy is durable, but not in force yet: the aggregator does not apply the ledger just now",
            advice="see `spendgate policy show` in a moment; is the aggregator running?",
        )
    return answer


def print_changes(found: list[Change], organization: str, entry: PolicyEntry | None) -> None:
    """What changes, line by line."""
    out = console()
    version = f"version {entry.version}" if entry else "no policy"
    if not found:
        out.print(f"{organization}: nothing changes, {version} is in force")
        return
    made = table(f"{organization}: changes to {version}", ("", "what", "from", "to"))
    styles = {"+": "green", "-": "red", "~": "yellow"}
    for change in found:
        made.add_row(change.sign, change.path, change.before, change.after, style=styles[change.sign])
    out.print(made)


def print_notes(notes: list[str]) -> None:
    """What the policy asks for in vain, for now."""
    for note in notes:
        console().print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)


async def _in_force(connection: Connection, organization: str) -> PolicyEntry | None:
    async with open_api(connection) as api:
        return await api.policy(organization)


async def _apply(connection: Connection, policy: Policy, by: str, reason: str, *, force: bool) -> None:
    async with open_api(connection) as api:
        entry = await api.policy(policy.organization)
        found = _changes(entry, policy)
        print_changes(found, policy.organization, entry)
        if not found and not force:
            return
        answer = await apply_policy(api, policy, by=by, reason=reason, expected_version=entry.version if entry else 0)
    print_notes(answer.get("notes", []))
    console().print(f"version {answer['version']} of {policy.organization} is in force", style="green")


def _changes(entry: PolicyEntry | None, policy: Policy) -> list[Change]:
    return changes(None if entry is None else parse_policy(entry.policy), policy)
