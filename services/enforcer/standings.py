"""Where every balance stands: the ledger's figures as they are tailed, and beside them what this enforcer adds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping

import msgspec

from services.core.balance import Balance
from services.core.effects import POSITION_KEY, Position
from services.core.escrow import ENFORCER_KEY, Share, outstanding
from services.core.standing import Standing
from services.enforcer.registry import Registry

RESERVED = b"#"
"""Begins every key of the balances changelog that is no balance's."""
_ENFORCER, _POSITION = ENFORCER_KEY.encode(), POSITION_KEY.encode()

_decode_balance = msgspec.json.Decoder(Balance).decode
_decode_position = msgspec.json.Decoder(Position).decode
_NOT_YET = Position()


class Standings:
    """The standings of all organizations, by balance key.

    `known` are those that the ledger has a balance of; `local` were opened by requests that nothing came of yet. A
    standing keeps its identity while this enforcer adds to it, so routes and reservations hold on to it.
    """

    def __init__(self, identity: str, registry: Registry, applied: Callable[[int, int], None]) -> None:
        """`identity` is whose shares are this enforcer's own.

        `applied(partition, offset)` is told each new position, in the same step as the balances that it ends.
        """
        self.known: dict[str, Standing] = {}
        self.local: dict[str, Standing] = {}
        self.positions: dict[int, Position] = {}
        self.restored = False
        self.recalled: list[str] = []
        """Keys of balances, changed lately, of which another enforcer waits for what this one has."""
        self._identity, self._registry, self._applied = identity, registry, applied
        self._unfinished: defaultdict[int, list[tuple[bytes, bytes | None]]] = defaultdict(list)

    def find(self, key: str) -> Standing | None:
        """The standing of a key, if there is one."""
        standing = self.known.get(key)
        return self.local.get(key) if standing is None else standing

    def open(self, key: str) -> Standing:
        """The standing of a key, a new one at zero if there is none."""
        standing = self.find(key)
        if standing is None:
            standing = self.local[key] = Standing()
        return standing

    def offset(self, partition: int) -> int:
        """How far the ledger has been applied; -1 is nothing yet."""
        return self.positions.get(partition, _NOT_YET).offset

    def absorb(self, partition: int, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Apply records of the balances changelog, those of one transaction all at once.

        What a position has not ended yet waits for it, so that nobody sees half a transaction. Nobody looks before all
        is restored, and compaction leaves one position at the very end: until then records apply as they come.
        """
        unfinished = self._unfinished[partition]
        for key, value in records:
            if key == _POSITION:
                self._finish(partition, unfinished, value)
            elif self.restored:
                unfinished.append((key, value))
            else:
                self._put(partition, key, value)

    def take_recalled(self) -> list[str]:
        """What is `recalled` since this was last asked."""
        recalled, self.recalled = self.recalled, []
        return recalled

    def start_over(self, identity: str) -> None:
        """Another enforcer now, which has no shares: what it reserved it still holds."""
        self._identity = identity
        for standing in (*self.known.values(), *self.local.values()):
            standing.granted_nanousd = standing.used_nanousd = 0
            _forget_claims(standing)

    def forget_idle(self, keep: Container[str] = ()) -> None:
        """Drop the local standings to which nothing is added any more. Routes must be dropped with them.

        `keep` are those of which a share is wanted: its answer is for the standing that asked.
        """
        self.local = {key: standing for key, standing in self.local.items() if not standing.idle or key in keep}

    def _finish(self, partition: int, unfinished: list[tuple[bytes, bytes | None]], value: bytes | None) -> None:
        for key, balance in unfinished:
            self._put(partition, key, balance)
        unfinished.clear()
        position = _NOT_YET if value is None else _decode_position(value)
        if position.offset > self.offset(partition):
            self.positions[partition] = position
            self._registry.count(partition, position.clock_ms)
            self._applied(partition, position.offset)

    def _put(self, partition: int, raw_key: bytes, value: bytes | None) -> None:
        key = raw_key.decode()
        if raw_key.startswith(RESERVED):
            if raw_key.startswith(_ENFORCER):
                self._registry.put(partition, key.removeprefix(ENFORCER_KEY), value)
            return
        if value is None:
            self._remove(key)
            return
        balance = _decode_balance(value)
        standing = self.known.get(key)
        if standing is None:
            standing = self.known[key] = self.open(key)
            del self.local[key]
        # A changelog that is read again from its beginning repeats older values: the higher offset holds.
        if balance.offset >= standing.offset:
            standing.settled_nanousd = balance.settled_nanousd
            standing.unconfirmed_nanousd = balance.unconfirmed_nanousd
            standing.requests = balance.requests
            standing.unpriced = balance.unpriced
            standing.offset = balance.offset
            standing.grace_from_ms = balance.grace_from_ms
            if balance.shares:
                self._share_out(key, standing, balance.shares)
            elif standing.outstanding_nanousd or standing.granted_nanousd:
                _lose_share(standing)

    def _share_out(self, key: str, standing: Standing, shares: Mapping[str, Share]) -> None:
        own = shares.get(self._identity)
        if own is None:
            _lose_share(standing)
        else:
            standing.granted_nanousd, standing.used_nanousd = own.granted_nanousd, own.used_nanousd
            standing.answered = own.beat
            # It may have been forgotten here while it was on its way.
            standing.wanted_nanousd = max(standing.wanted_nanousd, own.granted_nanousd)
            standing.returned_nanousd = max(standing.returned_nanousd, own.released_nanousd)
        standing.outstanding_nanousd = outstanding(shares.values())
        standing.recalled = any(share.unmet_nanousd and share is not own for share in shares.values())
        if standing.recalled and standing.share_nanousd > 0:
            self.recalled.append(key)

    def _remove(self, key: str) -> None:
        standing = self.known.pop(key, None)
        if standing is not None and not standing.idle:
            standing.settled_nanousd = standing.unconfirmed_nanousd = standing.requests = standing.unpriced = 0
            _lose_share(standing)
            _forget_claims(standing)
            self.local[key] = standing


def _lose_share(standing: Standing) -> None:
    standing.granted_nanousd = standing.used_nanousd = standing.outstanding_nanousd = 0
    standing.recalled = False


def _forget_claims(standing: Standing) -> None:
    standing.wanted_nanousd = standing.returned_nanousd = 0
    standing.asked = standing.answered = standing.graced = 0
