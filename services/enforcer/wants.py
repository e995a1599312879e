"""What this enforcer wants of the shares of hard limits, and what of that is yet to be said to the ledger. No I/O.

All is said in running totals, so what is said last says it all: a claim may be lost, repeated or come late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from mypy_extensions import mypyc_attr

from services.core.balance import split_key
from services.core.events import CLAIMS_MAX, TOTAL_MAX, AllowanceClaim, AllowanceClaimed, Claim, from_ms
from services.core.guard import Guard, guard_of
from services.core.headroom import headroom, recent
from services.core.policy import CompiledPolicy
from services.core.standing import Standing
from services.enforcer.directory import Directory
from services.enforcer.lease import Leases
from services.enforcer.registry import Registry
from services.enforcer.standings import Standings


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class Need:
    """What one request lacks on one balance; `grace`: it may go beyond the limit."""

    key: str
    standing: Standing
    amount_nanousd: int
    grace: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether the ledger has answered, one way or the other, or the share has come to cover it."""
        standing = self.standing
        return 0 < standing.asked <= standing.answered or standing.share_nanousd >= self.amount_nanousd


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class Shortage:
    """A request that cannot be decided before the ledger has answered; without needs, before it answers at all."""

    organization: str
    partition: int
    needs: tuple[Need, ...]


@mypyc_attr(acyclic=True)
@dataclass(kw_only=True, eq=False, slots=True)
class Want:
    """The wish for a share of one balance, in nano-dollars.

    `waiting` is what requests wait for just now, `gracious` how many of them may have grace. `recent` is what half a
    minute takes lately, measured from when `taken` was taken. `said` is the beat of the last claim with this balance.
    """

    key: str
    organization: str
    partition: int
    standing: Standing
    policy: CompiledPolicy
    guard: Guard | None
    waiting_nanousd: int = 0
    gracious: int = 0
    recent_nanousd: int = 0
    taken_nanousd: int = 0
    measured_ms: int = 0
    said: int = 0
    said_ms: int = 0
    raised_ms: int = 0
    ahead: bool = False

    @property
    def is_heard(self) -> bool:
        """Whether the ledger has applied the last that was said."""
        return self.standing.answered >= self.said

    @property
    def is_unmet(self) -> bool:
        """Whether the ledger has granted less than was wanted."""
        return self.standing.granted_nanousd < self.standing.wanted_nanousd


def taken(standing: Standing) -> int:
    """What was ever taken of the own share."""
    return standing.used_nanousd + standing.pending_nanousd + standing.held_nanousd


class Wants:
    """All wants of one enforcer by balance key, and those of each partition about which something is to be said."""

    def __init__(self, standings: Standings, directory: Directory, registry: Registry, leases: Leases) -> None:
        self._standings, self._directory = standings, directory
        self._registry, self._leases = registry, leases
        self.known: dict[str, Want] = {}
        self._due: defaultdict[int, dict[str, Want]] = defaultdict(dict)

    def due(self) -> list[int]:
        """The partitions to which something is to be said."""
        return [partition for partition, wants in self._due.items() if wants]

    def wait(self, shortage: Shortage, steady_ms: int) -> None:
        """A request waits for these needs, until `leave` is called for them."""
        for need in shortage.needs:
            want = self.open(shortage.organization, shortage.partition, need.key, need.standing, steady_ms)
            want.waiting_nanousd += need.amount_nanousd
            want.gracious += need.grace
            standing = want.standing
            asked = standing.asked > standing.answered and not need.grace
            if not asked or not standing.claimed(want.waiting_nanousd):
                standing.asked = 0
                self.say_of(want)

    def leave(self, shortage: Shortage) -> None:
        """The request waits no longer."""
        for need in shortage.needs:
            want = self.known.get(need.key)
            if want is not None and want.standing is need.standing:
                want.waiting_nanousd = max(0, want.waiting_nanousd - need.amount_nanousd)
                want.gracious = max(0, want.gracious - need.grace)

    def open(self, organization: str, partition: int, key: str, standing: Standing, steady_ms: int) -> Want:
        """The want of a balance, a new one if there is none."""
        want = self.known.get(key)
        if want is None or want.standing is not standing:
            policy = self._directory.organization(organization).policy
            want = self.known[key] = Want(
                key=key,
                organization=organization,
                partition=partition,
                standing=standing,
                policy=policy,
                guard=guard_of(policy, *split_key(key)),
                taken_nanousd=taken(standing),
                measured_ms=steady_ms,
            )
        return want

    def headroom(self, want: Want, now_ms: int, steady_ms: int) -> int:
        """What is wanted there beyond what is taken and waited for; nothing where nothing limits any more."""
        self._refresh(want)
        if want.guard is None:
            return 0
        standing = want.standing
        limit = want.guard.limit_at(now_ms)  # beyond it there is no headroom: grace is for what asks for it
        free = limit - standing.settled_nanousd - standing.outstanding_nanousd + standing.share_nanousd
        lately = recent(taken(standing) - want.taken_nanousd, steady_ms - want.measured_ms)
        return headroom(max(want.recent_nanousd, lately), limit, free, self._registry.alive(want.partition))

    def raise_to(self, want: Want, cushion_nanousd: int, steady_ms: int) -> None:
        """Want this much beyond what is taken, if that is more than before."""
        standing = want.standing
        total = min(TOTAL_MAX, standing.returned_nanousd + taken(standing) + cushion_nanousd)
        if total > standing.wanted_nanousd:
            standing.wanted_nanousd, standing.asked = total, 0
            want.raised_ms = steady_ms
            self.say_of(want)

    def take_back(self, want: Want) -> None:
        """Want nothing that is not granted: nobody waits for it any more."""
        want.standing.wanted_nanousd = want.standing.granted_nanousd
        self.say_of(want)

    def give_back(self, want: Want, amount_nanousd: int) -> None:
        """Return some of the share that nothing is reserved from; it is not spent from now on."""
        if amount_nanousd > 0:
            want.standing.returned_nanousd += amount_nanousd
            self.say_of(want)

    def answer_recalls(self, keys: Iterable[str]) -> None:
        """Return what is free of the shares of these balances, but for those that requests here wait for."""
        for key in keys:
            want = self.known.get(key)
            if want is not None and not want.waiting_nanousd and want.is_heard:
                self.give_back(want, want.standing.share_nanousd)

    def give_all_back(self) -> None:
        """Return everything that is not held, and want nothing: this enforcer goes."""
        for want in self.known.values():
            if want.is_unmet:
                self.take_back(want)
            self.give_back(want, want.standing.share_nanousd)

    def free_nanousd(self) -> int:
        """What may still be reserved of all shares together."""
        return sum(max(0, want.standing.share_nanousd) for want in self.known.values())

    def say_of(self, want: Want) -> None:
        """Say something of this balance as soon as possible."""
        self._due[want.partition][want.key] = want

    def say(
        self, partition: int, identity: str, source: str, now_ms: int, steady_ms: int
    ) -> Iterator[AllowanceClaimed]:
        """What is due to be said to a partition, as few events as possible; from now on it counts as said."""
        due = self._due.pop(partition, {})
        by_organization: defaultdict[str, list[Want]] = defaultdict(list)
        for want in due.values():
            by_organization[want.organization].append(want)
        for organization, wants in by_organization.items():
            waiting = iter(wants)
            while chunk := list(islice(waiting, CLAIMS_MAX)):
                beat = self._leases.next_beat(partition, steady_ms)
                claims = [self._line(want, beat, now_ms, steady_ms) for want in chunk]
                claim = AllowanceClaim(organization=organization, enforcer=identity, beat=beat, claims=claims)
                yield AllowanceClaimed(id=f"{identity}-{beat}", source=source, time=from_ms(now_ms), data=claim)

    def start_over(self) -> None:
        """Another enforcer now, which never wanted anything; what requests wait for they will ask for again."""
        self.known.clear()
        self._due.clear()

    def _line(self, want: Want, beat: int, now_ms: int, steady_ms: int) -> Claim:
        standing = want.standing
        if want.waiting_nanousd and not standing.claimed(want.waiting_nanousd):
            self.raise_to(want, want.waiting_nanousd + self.headroom(want, now_ms, steady_ms), steady_ms)
            self._due[want.partition].pop(want.key, None)
        if not standing.asked or want.gracious:
            standing.asked = beat
        if want.gracious:
            standing.graced = beat
        want.said, want.said_ms = beat, steady_ms
        return Claim(
            balance=want.key,
            wanted_nanousd=standing.wanted_nanousd,
            released_nanousd=standing.returned_nanousd,
            grace=want.gracious > 0,
        )

    def _refresh(self, want: Want) -> None:
        """Another policy may limit the balance otherwise."""
        policy = self._directory.organization(want.organization).policy
        if policy is not want.policy:
            want.policy, want.guard = policy, guard_of(policy, *split_key(want.key))
