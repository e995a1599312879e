"""The policies in force, as the aggregator publishes them, and waiting for a change of ours to be among them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import msgspec

from services.adapters import logs
from services.adapters.kafka import tail
from services.adapters.settings import Settings
from services.core.effects import PolicyEntry

log = logs.logger(__name__)
_decode = msgspec.json.Decoder(PolicyEntry).decode


class PolicyBook:
    """Follows the policies changelog. `caught_up` tells that what it says is current."""

    def __init__(self, settings: Settings) -> None:
        self.caught_up = False
        self._settings = settings
        self._entries: dict[str, PolicyEntry] = {}
        self._changed = asyncio.Condition()
        self._assigned: dict[str, int] = {}

    def current(self, organization: str) -> PolicyEntry | None:
        """The policy of an organization, or None when it has none."""
        return self._entries.get(organization)

    def version(self, organization: str) -> int:
        """The version in force; 0 for none."""
        entry = self._entries.get(organization)
        return 0 if entry is None else entry.version

    def next_version(self, organization: str) -> int:
        """A version that was never given out here and is above the one in force."""
        version = max(self.version(organization), self._assigned.get(organization, 0)) + 1
        self._assigned[organization] = version
        return version

    async def outcome(self, organization: str, offset: int, *, version: int, wait_s: float) -> PolicyEntry | None:
        """The organization's entry once it tells what became of a change of ours; None when that takes too long.

        It does when it reflects the ledger up to our `offset`, or when a change before ours took our `version` already.
        """

        def told(entry: PolicyEntry) -> bool:
            return entry.offset >= offset or entry.version >= version

        return await self._once(organization, told, wait_s)

    async def heard(self, organization: str, offset: int, *, wait_s: float) -> PolicyEntry | None:
        """The organization's entry once its proposals reflect our `offset`; None when that takes too long."""
        return await self._once(organization, lambda entry: entry.latest_offset >= offset, wait_s)

    async def _once(self, organization: str, told: Callable[[PolicyEntry], bool], wait_s: float) -> PolicyEntry | None:
        def is_told() -> bool:
            entry = self._entries.get(organization)
            return entry is not None and told(entry)

        try:
            async with asyncio.timeout(wait_s), self._changed:
                await self._changed.wait_for(is_told)
        except TimeoutError:
            return None
        return self._entries[organization]

    async def follow(self) -> None:
        """Run until cancelled."""
        async with aclosing(tail(self._settings, ["policies"])) as batches:
            async for batch in batches:
                values = [r.value for records in batch.records.values() for r in records if r.value is not None]
                entries = [entry for value in values if (entry := _readable(value)) is not None]
                async with self._changed:
                    self._entries.update((entry.organization, entry) for entry in entries)
                    self.caught_up = batch.caught_up
                    self._changed.notify_all()


def _readable(value: bytes) -> PolicyEntry | None:
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:  # events must be taken all the same
        log.error("a policy cannot be read, the one before it is taken to be in force", reason=str(error))
        return None
