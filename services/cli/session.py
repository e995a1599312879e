"""One replay from plan to tally: what `spendgate replay` and the demo have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from uuid import uuid4

from rich.console import Console

from services.cli.api import open_api
from services.cli.cast import Request
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.freshness import Freshness
from services.cli.gateway import Gateway, Manners
from services.cli.pace import Pace
from services.cli.show import showing
from services.cli.tally import Tally

DEFAULT_WITHIN_S = 75.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to replay and how."""

    requests: Sequence[Request]
    pace: Pace
    afterwards: str | None
    in_flight: int = 256
    resend_every: int = 0


def pace_of(requests: Sequence[Request], *, speed: float | None, within: float) -> Pace:
    """`speed` as people give it: times real time, 0 for as fast as possible; without it, the trace fits `within`."""
    rows = [request.row for request in requests]
    if speed is None:
        return Pace.within(rows, within)
    return Pace(rows[0].at_us, speed or None)


async def replay(connection: Connection, plan: Plan, console: Console) -> tuple[Tally, float]:
    """Play the plan while showing it. The tally, and the `perf_counter` at which it began. Raises CliError."""
    tally = Tally(len(plan.requests))
    organization = plan.requests[0].organization
    manners = Manners(uuid4().hex[:12], plan.afterwards, plan.in_flight, plan.resend_every)
    async with (
        open_api(connection, in_flight=plan.in_flight + 16) as api,
        showing(console, connection.settings, organization, tally) as show,
    ):
        started = perf_counter()
        await Gateway(api, tally, plan.pace, manners, Freshness(api, tally)).play(plan.requests)
    console.print(show.line(), soft_wrap=True)
    return tally, started


def report_failures(tally: Tally, console: Console) -> None:
    """Say what did not work at once, or at all. Raises CliError when requests were lost by that."""
    if tally.retries:
        console.print(f"{tally.retries:,} calls were repeated until they were answered")
    if tally.spooled:
        console.print(f"{tally.spooled:,} events waited on disk while Kafka was away")
    for reason, count in tally.failures.most_common(5):
        console.print(f"{count:,} times: {reason}", style="yellow", markup=False)
    if tally.failed or tally.rejected:
        raise CliError(
            f"{tally.failed:,} requests got no answer and {tally.rejected:,} were rejected",
            advice="the reasons are above; logs of a local stack are in its data folder",
        )
