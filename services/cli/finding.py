"""Where a decision is kept: an enforcer's memory for a while, and what was published in ClickHouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from services.cli.api import AWAY, open_api
from services.cli.connection import Connection
from services.cli.errors import CliError, Unreachable
from services.cli.warehouse import open_warehouse
from services.core.decision import Decision

HOLD, DECISION = "rsv-", "dec-"


class NoDecision(CliError):
    """No decision of this id is kept anywhere."""


@dataclass(frozen=True, slots=True)
class Found:
    """A decision as it was answered, and where it was."""

    document: dict[str, Any]
    place: str

    def decision(self) -> Decision:
        """The same for this version of Spendgate. Raises CliError when a newer one made it."""
        try:
            return msgspec.convert(self.document, Decision)
        except msgspec.ValidationError as error:
            raise CliError(
                f"this version of spendgate cannot read the decision: {error}", advice="print it as it is with --json"
            ) from error


async def find(connection: Connection, decision_id: str) -> Found:
    """Ask each enforcer, then ClickHouse. Raises `NoDecision`, and `Unreachable` when nobody answered.

    The id of a reservation will do: both have one name.
    """
    if decision_id.startswith(HOLD):
        decision_id = DECISION + decision_id.removeprefix(HOLD)
    silent = []
    for url in connection.enforcer_urls:
        try:
            async with open_api(connection) as api:
                document = await api.explain(decision_id, enforcer=url)
        except AWAY:
            silent.append(url)
            continue
        if document is not None:
            return Found(document, f"the memory of the enforcer at {url}")
    return await _find_stored(connection, decision_id, silent)


async def _find_stored(connection: Connection, decision_id: str, silent: list[str]) -> Found:
    try:
        async with open_warehouse(connection.settings) as warehouse:
            document = await warehouse.explanation(decision_id)
    except Unreachable as error:
        if silent:
            raise Unreachable(f"no enforcer answers, and {error.message}", advice=error.advice) from error
        raise NoDecision(f"no enforcer remembers {decision_id}, and {error.message}", advice=error.advice) from error
    if document is not None:
        return Found(document, "ClickHouse")
    unheard = f"; no answer from {', '.join(silent)}" if silent else ""
    raise NoDecision(
        f"nobody has kept a decision {decision_id}{unheard}",
        advice="`spendgate decisions` lists what ClickHouse has: denials, warnings and SPENDGATE_SAMPLE_ALLOWS of the "
        "rest, a second later; enforcers keep their last SPENDGATE_DECISIONS_KEPT",
    )
