"""How long this enforcer may spend its shares: as long as the ledger has heard of it lately, by its own clock."""

from __future__ import annotations

from collections import defaultdict, deque


class Leases:
    """One lease for each ledger partition, renewed by every beat that the registry there is seen to have.

    It runs from the time at which that beat was sent, on a clock that nobody sets and that goes on while the machine
    sleeps. All that had been appended by then is known here: the age of the lease is how stale this knowledge can be.
    """

    def __init__(self, ttl_ms: int) -> None:
        self._ttl_ms = ttl_ms
        self._beat = 0
        self._sent: defaultdict[int, deque[tuple[int, int]]] = defaultdict(deque)
        self._since_ms: dict[int, int] = {}
        self.beats: dict[int, int] = {}
        """The last beat that each partition is known to have."""

    def next_beat(self, partition: int, steady_ms: int) -> int:
        """The number of what is about to be said to a partition."""
        self._beat += 1
        self._sent[partition].append((self._beat, steady_ms))
        return self._beat

    def heard(self, partition: int, beat: int) -> None:
        """The ledger has applied this beat and all before it."""
        self.beats[partition] = beat
        sent = self._sent[partition]
        while sent and sent[0][0] <= beat:
            self._since_ms[partition] = sent.popleft()[1]

    def age_ms(self, partition: int, steady_ms: int) -> int | None:
        """How long ago the lease began; None when there was none yet."""
        since_ms = self._since_ms.get(partition)
        return None if since_ms is None else max(0, steady_ms - since_ms)

    def is_fresh(self, partition: int, steady_ms: int) -> bool:
        """Whether shares of this partition may be spent."""
        since_ms = self._since_ms.get(partition)
        return since_ms is not None and steady_ms - since_ms <= self._ttl_ms

    def is_new(self, partition: int) -> bool:
        """Whether the ledger has not answered yet for the first time: a moment later it may."""
        return partition not in self._since_ms

    def start_over(self) -> None:
        """Another enforcer now: nobody has heard of it."""
        self._beat = 0
        self._sent.clear()
        self._since_ms.clear()
        self.beats.clear()
