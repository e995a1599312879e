"""`spendgate explain`: why a request was allowed or denied, with everything that this was decided from."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from services.adapters.keys import Role
from services.cli import options
from services.cli.connection import Connection
from services.cli.errors import Mismatch
from services.cli.explanation import Explanation
from services.cli.finding import Found, find
from services.cli.render import console
from services.cli.verification import verify
from services.core.decision import Decision

Id = Annotated[
    str, typer.Argument(metavar="ID", help="A decision (dec-...), or the reservation that it granted (rsv-...).")
]


def explain(
    decision: Id,
    as_json: Annotated[bool, typer.Option("--json", help="The decision as it was answered, for programs.")] = False,
    verified: Annotated[
        bool,
        typer.Option("--verify", help="Derive it again from what it knew, and the policy and prices of its versions."),
    ] = False,
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    enforcer_url: options.EnforcerUrl = None,
    token: options.Token = None,
) -> None:
    """Explain a decision: what was asked, each budget that it met, the reason, what would help, and what was known.

    Enforcers remember their last decisions. Denials, warnings and a sample of the rest are kept in ClickHouse as well.
    With --verify, the exit code is 1 when the decision comes out otherwise.
    """
    connection = options.connection_of(data, ingest_url, enforcer_url, token, role=Role.VIEWER)
    found = options.run(find(connection, decision), connection)
    _print(found, as_json=as_json)
    if verified:
        _verify(connection, found.decision(), quiet=as_json)


def _print(found: Found, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.document, indent=2, ensure_ascii=False))
    else:
        console().print(Explanation(found.decision(), found.place))


def _verify(connection: Connection, decision: Decision, *, quiet: bool) -> None:
    different = options.run(verify(connection, decision), connection)
    out = console(stderr=quiet)
    for difference in different:
        out.print(str(difference), markup=False, soft_wrap=True)
    if different:
        raise Mismatch("derived again, the decision is another", advice="was it made by this version of spendgate?")
    source = f"policy version {decision.policy_version} and {decision.price_version}"
    out.print(f"derived again from what it knew, {source}: the same in every field", style="green", soft_wrap=True)
