"""`spendgate policy propose`, `proposals`, `review`, `boost` and `rollback`: changes that two people agree on."""

from __future__ import annotations

import getpass
import re
from collections.abc import Awaitable
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from aiokafka.errors import KafkaError

from schemas.fields import DURATION, duration_ms
from schemas.policy import Policy, parse_policy
from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.topics import TopicsError, partition_count
from services.cli import options
from services.cli.api import Api, Refused, open_api
from services.cli.commands.policy import File, apply_policy, print_changes, print_notes, read_policy
from services.cli.connection import Connection
from services.cli.errors import CliError, Unreachable
from services.cli.past_policies import past_policies
from services.cli.policies import changes
from services.cli.render import console, table
from services.core.effects import PolicyEntry, Proposal
from services.core.events import from_ms, iso
from services.core.second_person import policy_needs_review

ADVICE: Final = {
    "same_person": "ask somebody else: with a key of their own, `spendgate keys create --role admin`, and their name",
    "no_proposal": "`spendgate policy proposals` lists what is open, `spendgate policy log` what became of the others",
    "too_many_proposals": "`spendgate policy proposals` lists them, `spendgate policy review ID --reject` closes one",
    "version_conflict": "look at it with `spendgate policy diff`, then propose again",
}

app = typer.Typer()

Reason = Annotated[str, typer.Option(help="Why, for who decides and for who reads the history.")]
By = Annotated[str, typer.Option(help="Who does it; by default who is logged in here.")]


@app.command("propose", epilog='Example:  spendgate policy propose acme.yaml --reason "Q1 plan"')
def propose(
    file: File,
    reason: Reason = "",
    by: By = "",
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """Propose the policy in FILE, after showing what it would change: another person then approves it."""
    connection = options.connection_of(data, ingest_url, None, token)
    policy = read_policy(file)
    options.run(_propose_file(connection, policy, by or getpass.getuser(), reason), connection)


@app.command("proposals", epilog="Example:  spendgate policy proposals --org acme")
def proposals(
    organization: options.Organization = None,
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """List what awaits a second person."""
    connection = options.connection_of(data, ingest_url, None, token)
    name = options.need_organization(organization, connection)
    entry = options.run(_entry(connection, name), connection)
    if entry is None or not entry.proposals:
        console().print(f"nothing of {name} awaits a second person", markup=False)
        return
    made = table(f"open proposals of {name}", ("proposal", "by", "asks for", "why", "expires (UTC)"))
    for each in entry.proposals:
        until = f"{from_ms(each.expires_at_ms):%Y-%m-%d %H:%M}"
        made.add_row(each.proposal, each.by, asks_for(each, entry), each.reason, until)
    console().print(made)


@app.command("review", epilog="Example:  spendgate policy review prop-1f0c9a2b7d3e4f50 --approve")
def review(
    proposal: Annotated[str, typer.Argument(help="A proposal, as `spendgate policy proposals` names it.")],
    approve: Annotated[bool, typer.Option("--approve", help="Put it in force. Not by who made it.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Close it; who made it withdraws it so.")] = False,
    note: Annotated[str, typer.Option(help="Why, for those who read the history.")] = "",
    by: By = "",
    organization: options.Organization = None,
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """Show what a proposal would change; approve it, or reject it. With neither, only show it."""
    if approve and reject:
        raise CliError("both --approve and --reject", advice="name one of them")
    connection = options.connection_of(data, ingest_url, None, token)
    name = options.need_organization(organization, connection)
    verdict = "approve" if approve else "reject" if reject else None
    said = {"organization": name, "verdict": verdict, "by": by or getpass.getuser(), "note": note}
    options.run(_review(connection, proposal, said), connection)


@app.command("boost", epilog='Example:  spendgate policy boost company-month 250 --for 3d --reason "launch week"')
def boost(
    budget: Annotated[str, typer.Argument(help="A budget of the policy in force.")],
    amount: Annotated[str, typer.Argument(help="Dollars to add to its limit, such as 250 or 12.50.")],
    for_: Annotated[str, typer.Option("--for", help="For so long: 90m, 4h, 3d; at most 31d.")] = "1d",
    reason: Reason = "",
    by: By = "",
    organization: options.Organization = None,
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """Give a budget more room for a while. Where the policy asks for a second person, this becomes a request."""
    if not re.fullmatch(DURATION, for_):
        raise CliError(f"{for_!r} is no duration", advice="write a number and a unit: 90m, 4h, 3d")
    connection = options.connection_of(data, ingest_url, None, token)
    name = options.need_organization(organization, connection)
    wanted = {"organization": name, "budget": budget, "amount_usd": amount, "until": iso(now_ms() + duration_ms(for_))}
    options.run(_boost(connection, wanted, {"by": by or getpass.getuser(), "reason": reason}), connection)


@app.command("rollback", epilog='Example:  spendgate policy rollback 3 --reason "the new limits block the batch jobs"')
def rollback(
    version: Annotated[int, typer.Argument(min=1, help="A version that was in force, as `spendgate policy log` says.")],
    reason: Reason = "",
    by: By = "",
    organization: options.Organization = None,
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """Put the policy of an earlier version in force again, as a new version; propose it, where two must agree."""
    connection = options.connection_of(data, ingest_url, None, token)
    name = options.need_organization(organization, connection)
    why = f"back to version {version}{': ' + reason if reason else ''}"
    options.run(_rollback(connection, name, version, by or getpass.getuser(), why), connection)


def asks_for(proposal: Proposal, entry: PolicyEntry) -> str:
    """What a proposal would change, in a line."""
    if proposal.boost is not None:
        boost = proposal.boost
        return f"${boost.amount_usd} more for {boost.budget} until {iso(boost.until_ms)}"
    found = changes(parse_policy(entry.policy), parse_policy(proposal.policy))
    first = f"{found[0].sign} {found[0].path}" if found else "nothing"
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"version {proposal.version}: {first}{more}"


async def _entry(connection: Connection, organization: str) -> PolicyEntry | None:
    async with open_api(connection) as api:
        return await api.policy(organization)


async def _propose_file(connection: Connection, policy: Policy, by: str, reason: str) -> None:
    async with open_api(connection) as api:
        entry = await api.policy(policy.organization)
        if entry is None:
            raise CliError(
                f"{policy.organization} has no policy yet", advice="apply its first one: `spendgate policy apply FILE`"
            )
        await _propose(api, entry, policy, by=by, reason=reason)


async def _propose(api: Api, entry: PolicyEntry, policy: Policy, *, by: str, reason: str) -> None:
    found = changes(parse_policy(entry.policy), policy)
    print_changes(found, policy.organization, entry)
    if not found:
        return
    proposal = {
        "policy": policy.model_dump(mode="json"),
        "by": by,
        "reason": reason,
        "expected_version": entry.version,
    }
    answer = await _advised(api.propose(proposal))
    print_notes(answer.get("notes", []))
    _print_next(answer)


async def _review(connection: Connection, name: str, said: dict[str, Any]) -> None:
    async with open_api(connection) as api:
        entry = await api.policy(said["organization"])
        found = () if entry is None else [each for each in entry.proposals if each.proposal == name]
        if entry is None or not found:
            raise CliError(f"no proposal {name} of {said['organization']} is open", advice=ADVICE["no_proposal"])
        (proposal,) = found
        _show(proposal, entry)
        if said["verdict"] is None:
            console().print(f"decide with: spendgate policy review {name} --approve (or --reject)", markup=False)
            return
        answer = await _advised(api.review(name, said))
    _need_applied(answer)
    done = "rejected" if said["verdict"] == "reject" else "approved, and in force"
    console().print(f"{name} is {done}: version {answer['version']} of {said['organization']}", style="green")


def _show(proposal: Proposal, entry: PolicyEntry) -> None:
    if proposal.policy is not None:
        found = changes(parse_policy(entry.policy), parse_policy(proposal.policy))
        print_changes(found, entry.organization, entry)
    why = f": {proposal.reason}" if proposal.reason else ""
    console().print(f"{proposal.by} asks for {asks_for(proposal, entry)}{why}", markup=False, soft_wrap=True)


async def _boost(connection: Connection, wanted: dict[str, Any], who: dict[str, str]) -> None:
    async with open_api(connection) as api:
        try:
            answer = await api.boost(wanted | who)
        except Refused as refused:
            if refused.code != "review_required":
                raise
            console().print(f"{refused.message}", markup=False, soft_wrap=True)
            _print_next(await _advised(api.propose({"boost": wanted, **who})))
            return
    _need_applied(answer)
    until = datetime.fromisoformat(wanted["until"])
    console().print(
        f"{wanted['budget']} has ${wanted['amount_usd']} more until {until:%Y-%m-%d %H:%M} UTC", style="green"
    )


async def _rollback(connection: Connection, organization: str, version: int, by: str, reason: str) -> None:
    policy = await _policy_of(connection, organization, version)
    async with open_api(connection) as api:
        entry = await api.policy(organization)
        assert entry is not None, "an organization that had a policy has one"
        if policy_needs_review(entry):
            await _propose(api, entry, policy, by=by, reason=reason)
            return
        found = changes(parse_policy(entry.policy), policy)
        print_changes(found, organization, entry)
        if not found:
            return
        answer = await apply_policy(api, policy, by=by, reason=reason, expected_version=entry.version)
    console().print(f"version {answer['version']} of {organization} is in force, as {version} was", style="green")


async def _policy_of(connection: Connection, organization: str, version: int) -> Policy:
    """The policy that was a version, from the ledger. Raises CliError."""
    known: list[int] = []
    try:
        partition = partition_for(organization, await partition_count(connection.settings))
        with console(stderr=True).status("reading the ledger ..."):
            async with aclosing(past_policies(connection.settings, partition)) as past:
                async for entry in past:
                    if entry.organization == organization:
                        known.append(entry.version)
                        if entry.version == version:
                            return parse_policy(entry.policy)
    except (TopicsError, KafkaError) as error:
        raise Unreachable(f"Kafka: {error}", advice="check SPENDGATE_KAFKA and SPENDGATE_TOPIC_PREFIX") from error
    there_are = ", ".join(map(str, dict.fromkeys(known))) or "none"
    raise CliError(f"{organization} never had a version {version}; it had: {there_are}", advice="name one of them")


async def _advised(call: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """The answer of a call whose refusal says what to do next."""
    try:
        return await call
    except Refused as refused:
        if refused.code in ADVICE:
            raise CliError(refused.message, advice=ADVICE[refused.code]) from refused
        raise


def _print_next(answer: dict[str, Any]) -> None:
    name, whose = answer["proposal"], answer["organization"]
    state = "is open" if answer["applied"] else "will be open as soon as the ledger has been read"
    console().print(f"{name} {state}: it changes nothing until another person approves it", markup=False)
    console().print(f"  with a key of theirs: spendgate policy review {name} --approve --org {whose}", markup=False)


def _need_applied(answer: dict[str, Any]) -> None:
    if not answer["applied"]:
        raise CliError(
            "it is durable, but does not count yet: the aggregator does not apply the ledger just now",
            advice="see `spendgate policy log` in a moment; is the aggregator running?",
        )
