"""Talking to the services over HTTP: one call a method, and what they refuse as errors that give advice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from services.adapters.clock import monotonic_ms
from services.cli.connection import Connection
from services.cli.errors import CliError, Unreachable
from services.console.status import ScopeOutlook
from services.core.effects import PolicyEntry, Proposal
from services.enforcer.answers import EnforcerLine, Enforcers, Status

TIMEOUT_S = 30.0
POLICIES_KNOWN_S = 30.0
RETRY_S = 0.25
AWAY = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
"""What a call raises when nobody answers; the services answer everything else."""

REFUSAL_ADVICE = {
    401: "is it a key of this installation? It comes from --token or SPENDGATE_TOKEN",
    403: "use a key of the right role and organization: `spendgate keys create --help`",
    404: "is this URL that of the right service, of the same version?",
    413: "send less at once",
    503: "the service cannot do this just now: try again in a moment",
}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Refused(CliError):
    """A service answered, and said no."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        error = body.get("error") or {}
        field = f" ({error['field']})" if error.get("field") else ""
        super().__init__(
            f"{error.get('message') or 'the service refused'}{field} [{status}]", advice=REFUSAL_ADVICE.get(status)
        )
        self.status, self.body = status, body
        self.code: str = error.get("code", "")


class Api:
    """The services of one installation. Every method raises `Refused`, and `AWAY` when nobody answers."""

    def __init__(self, session: aiohttp.ClientSession, connection: Connection) -> None:
        self._session, self._connection = session, connection

    async def check(self, ask: Mapping[str, Any]) -> dict[str, Any]:
        """The decision on a request: a denial is an answer, not an error, and so is a throttle.

        A denial because nobody knows (503) is none: ask again.
        """
        try:
            return await self._post("enforcer", "/v1/check", _encode(ask))
        except Refused as refused:
            if refused.status < 500 and refused.body.get("action") in ("deny", "throttle"):
                return refused.body
            raise

    async def settle(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a reservation by what was used."""
        return await self._post("enforcer", "/v1/settle", _encode(usage))

    async def report(self, lines: bytes) -> dict[str, Any]:
        """Usage events after the fact, one CloudEvent a line."""
        return await self._post("ingest", "/v1/events", lines, content_type="application/x-ndjson")

    async def status(self, scope: str, *, after: str | None = None, wait_ms: int = 0) -> Status:
        """Where a scope stands; `after` (partition:offset) waits until that much of the ledger is known."""
        query = {"after": after, "wait_ms": str(wait_ms)} if after else {}
        url = f"{self._connection.need('enforcer')}/v1/status/{scope}"
        return msgspec.convert(await self._call("GET", url, params=query), Status)

    async def outlook(self, scope: str) -> ScopeOutlook:
        """Where a scope stands and where it is going, by the console."""
        url = f"{self._connection.need('console')}/v1/status/{scope}"
        return msgspec.convert(await self._call("GET", url), ScopeOutlook)

    async def foreseen(self, name: str, most: int, **asked: str) -> list[dict[str, Any]]:
        """The first of the console's `forecasts`, `alerts`, `anomalies` or `audit` entries."""
        url = f"{self._connection.need('console')}/v1/{name}"
        answer = await self._call("GET", url, params={**asked, "limit": str(most)})
        found: list[dict[str, Any]] = answer[name]
        return found

    async def explain(self, decision: str, *, enforcer: str) -> dict[str, Any] | None:
        """A decision as one enforcer answered it; None when it does not remember it."""
        try:
            return await self._call("GET", f"{enforcer}/v1/explain/{quote(decision, safe='')}")
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def policy(self, organization: str) -> PolicyEntry | None:
        """The policy in force; None when the organization has none."""
        url = f"{self._connection.need('ingest')}/v1/policies/{quote(organization, safe='')}"
        try:
            return msgspec.convert(await self._once_known(lambda: self._call("GET", url)), PolicyEntry)
        except Refused as refused:
            if refused.code == "no_policy":
                return None
            raise

    async def apply_policy(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """Put a policy in force."""
        return await self._once_known(lambda: self._post("ingest", "/v1/policies", _encode(change)))

    async def move(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """Move money between budgets."""
        return await self._post("ingest", "/v1/moves", _encode(change))

    async def boost(self, boost: Mapping[str, Any]) -> dict[str, Any]:
        """Give a budget extra room for a while."""
        return await self._once_known(lambda: self._post("ingest", "/v1/boosts", _encode(boost)))

    async def propose(self, proposal: Mapping[str, Any]) -> dict[str, Any]:
        """Propose a policy or request a boost."""
        return await self._once_known(lambda: self._post("ingest", "/v1/proposals", _encode(proposal)))

    async def proposals(self, organization: str) -> tuple[Proposal, ...]:
        """What awaits a second person."""
        entry = await self.policy(organization)
        return () if entry is None else entry.proposals

    async def review(self, proposal: str, review: Mapping[str, Any]) -> dict[str, Any]:
        """Approve or reject a proposal."""
        path = f"/v1/proposals/{quote(proposal, safe='')}/review"
        return await self._once_known(lambda: self._post("ingest", path, _encode(review)))

    async def acknowledge(self, told: Mapping[str, str]) -> dict[str, Any]:
        """Take an alert from here."""
        return await self._post("ingest", "/v1/acknowledgements", _encode(told))

    async def _once_known(self, call: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """The answer of an ingest that knows the policies in force: one that has just started needs a moment."""
        deadline_ms = monotonic_ms() + POLICIES_KNOWN_S * 1000
        while True:
            try:
                return await call()
            except Refused as refused:
                if refused.code != "policies_unknown" or monotonic_ms() > deadline_ms:
                    raise
            await asyncio.sleep(RETRY_S)

    async def enforcers(self) -> list[EnforcerLine]:
        """Every enforcer that the ledger knows."""
        found = await self._call("GET", f"{self._connection.need('enforcer')}/v1/enforcers")
        return msgspec.convert(found, Enforcers).enforcers

    async def forget(self, farewell: Mapping[str, Any]) -> dict[str, Any]:
        """Give up an enforcer."""
        return await self._post("ingest", "/v1/enforcers/forget", _encode(farewell))

    async def _post(
        self, service: str, path: str, body: bytes, *, content_type: str = "application/json"
    ) -> dict[str, Any]:
        url = self._connection.need(service) + path
        return await self._call("POST", url, data=body, headers={"Content-Type": content_type})

    async def _call(self, method: str, url: str, **request: Any) -> dict[str, Any]:
        async with self._session.request(method, url, **request) as response:
            body = await response.read()
            answer = _body(body)
            if response.status >= 400:
                raise Refused(response.status, answer)
            return answer


@asynccontextmanager
async def open_api(connection: Connection, *, in_flight: int = 16) -> AsyncIterator[Api]:
    """A client that keeps as many connections open as requests may be in flight."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=in_flight, keepalive_timeout=30),
        headers={"Authorization": f"Bearer {connection.need_token()}"},
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
    ) as session:
        yield Api(session, connection)


def unreachable(error: Exception, connection: Connection) -> Unreachable:
    """Nobody answered, as an error that says who and what to do."""
    reason = str(error) or type(error).__name__
    return Unreachable(
        f"no answer from the services named in {connection.found_in}: {reason}",
        advice="is the stack still running? `spendgate up` starts it",
    )


def _body(body: bytes) -> dict[str, Any]:
    try:
        decoded = _decode(body)
    except msgspec.MsgspecError:
        return {"error": {"message": body[:200].decode(errors="replace")}}
    return decoded if isinstance(decoded, dict) else {"answer": decoded}
