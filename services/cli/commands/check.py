"""`spendgate check`: may a request spend this much? Asked without reserving anything, now or as of then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer

from services.adapters.keys import Role
from services.cli import options
from services.cli.api import open_api
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.explanation import Explanation
from services.cli.finding import Found
from services.cli.past import At, Verbose, mark_of, read_past, told_mark
from services.cli.past_views import decide_then
from services.cli.render import console
from services.core.ask import Ask
from services.core.decide import Action
from services.core.decision import Decision
from services.core.scope import ScopeError

ASK = "The request"
NOTE = (
    "decided from the ledger, which does not tell what was reserved for requests in flight, nor each enforcer's pace; "
    "`spendgate explain ID` shows what was really answered"
)
Named = Annotated[str | None, typer.Option(rich_help_panel=ASK, help="On whose behalf.")]


def check(
    model: Annotated[str, typer.Argument(help="The model to be called, such as gpt-4o-mini.")],
    input_tokens: Annotated[int, typer.Option(rich_help_panel=ASK, help="How long the input is.")],
    max_output_tokens: Annotated[
        int | None, typer.Option(rich_help_panel=ASK, help="The cap of its output; default: the policy's.")
    ] = None,
    provider: Annotated[str | None, typer.Option(rich_help_panel=ASK, help="Such as openai.")] = None,
    project: Named = None,
    team: Named = None,
    user: Named = None,
    priority: Annotated[
        str, typer.Option(rich_help_panel=ASK, help="One of low, normal, high and critical.")
    ] = "normal",
    tag: Annotated[list[str] | None, typer.Option(rich_help_panel=ASK, help="KEY=VALUE; as often as needed.")] = None,
    at: At = None,
    as_json: Annotated[bool, typer.Option("--json", help="The decision as it is answered, for programs.")] = False,
    verbose: Verbose = False,
    organization: options.Organization = None,
    data: options.Data = None,
    enforcer_url: options.EnforcerUrl = None,
    token: options.Token = None,
) -> None:
    """Ask whether a request may be made, and explain the answer. Nothing is reserved. Exit code 1: it may not.

    With --at, what would have been answered then: by the policy, the limits and the balances of that time.
    """
    connection = options.connection_of(data, None, enforcer_url, token, role=Role.EDGE)
    said = {"provider": provider, "project": project, "team": team, "user": user}
    asked = _ask(
        {
            "organization": options.need_organization(organization, connection),
            "model": model,
            "input_tokens": input_tokens,
            "priority": priority,
            "tags": _tags(tag or []),
            "dry_run": True,
            **({} if max_output_tokens is None else {"max_output_tokens": max_output_tokens}),
            **{name: value for name, value in said.items() if value is not None},
        }
    )
    if at is None:
        decision, place = options.run(_decide(connection, asked), connection), "nowhere: it was a dry run"
    else:
        decision, place = _decide_then(connection, asked, at, verbose=verbose)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(decision)).decode())
    else:
        console().print(Explanation(decision, place))
    if at is not None:
        console(stderr=True).print(f"note: {NOTE}", style="dim", markup=False, soft_wrap=True)
    raise typer.Exit(0 if decision.action in (Action.ALLOW, Action.FALLBACK) else 1)


def _ask(fields: Mapping[str, Any]) -> Ask:
    try:
        return msgspec.convert(fields, Ask)
    except msgspec.ValidationError as error:
        raise CliError(f"this cannot be asked: {error}", advice="see `spendgate check --help`") from error


def _tags(written: Sequence[str]) -> dict[str, str]:
    tags = {}
    for text in written:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise CliError(f"--tag {text!r} is no tag", advice="write KEY=VALUE")
        tags[key] = value
    return tags


async def _decide(connection: Connection, asked: Ask) -> Decision:
    async with open_api(connection) as api:
        answer = await api.check(msgspec.to_builtins(asked))
    return Found({name: value for name, value in answer.items() if name != "error"}, "the answer").decision()


def _decide_then(connection: Connection, asked: Ask, at: str, *, verbose: bool) -> tuple[Decision, str]:
    past = options.run(read_past(connection, asked.organization, mark_of(at), verbose=verbose), connection)
    place = f"the ledger alone, {told_mark(past)}"
    try:
        return decide_then(past, asked), place
    except ScopeError as error:
        raise CliError(f"this cannot be asked: {error}") from error
