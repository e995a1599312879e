"""The enforcer without its shell: decides and holds in memory; no I/O, and time is an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from services.core.ask import Ask
from services.core.decide import Action, Ruling, decide
from services.core.decision import Decision, Hold, LedgerPosition
from services.core.estimate import estimate
from services.core.explain import Known, explain, instant, is_plain, usd
from services.core.fallback import fall_back
from services.core.pricing import PriceBook
from services.enforcer.closings import Closings
from services.enforcer.directory import Directory, Organization, Route
from services.enforcer.errors import (
    Restoring,
    TooManyReservations,
)
from services.enforcer.lease import Leases
from services.enforcer.mint import Mint
from services.enforcer.pending import Pending
from services.enforcer.registry import Registry
from services.enforcer.reservations import Reservation, Reservations
from services.enforcer.review import Review
from services.enforcer.standings import Standings
from services.enforcer.wants import Need, Shortage, Wants

ROUTES_KEPT_MS = 900_000
"""Routes are remembered for a quarter of an hour: later requests have other windows."""

LOCAL_STANDINGS_MAX = 250_000
LEASE_TTL_MS = 60_000


class Engine:
    """One enforcer's state, and everything that changes it."""

    def __init__(
        self,
        identity: str,
        prices: PriceBook,
        partition_for: Callable[[str, int], int],
        *,
        reservation_ttl_ms: int,
        reservations_max: int,
        lease_ttl_ms: int = LEASE_TTL_MS,
        sampled: Callable[[str], bool] = lambda _decision_id: False,
    ) -> None:
        """`identity` is new with every start: reservations and shares of an earlier life are not this one's.

        `partition_for(organization, partitions)` is where the ledger keeps an organization. Decisions that are
        `sampled`, by their ids, are told in full whatever was asked for.
        """
        self.prices = prices
        self.leases = Leases(lease_ttl_ms)
        self.registry = Registry(identity, self.leases, alive_ms=lease_ttl_ms)
        self.pending = Pending(self._offset)
        self.standings = Standings(identity, self.registry, self._applied)
        self.directory = Directory(self.standings, self._partition_of)
        self.wants = Wants(self.standings, self.directory, self.registry, self.leases)
        self.review = Review(self.wants, self.standings)
        self.partitions: int | None = None
        """How many the ledger has; known before anything is restored."""
        self._partition_for, self._sampled = partition_for, sampled
        self.reservations = Reservations()
        self.closings = Closings(self.reservations, self.pending, self.directory, prices, lambda: self.source)
        self._ttl_ms, self._max = reservation_ttl_ms, reservations_max
        self._name(identity)
        self._period = 0

    def start_over(self, identity: str) -> None:
        """Go on as another enforcer: without shares, but with all that is reserved still held."""
        self._name(identity)
        for part in (self.standings, self.registry):
            part.start_over(identity)
        self.leases.start_over()
        self.wants.start_over()

    def check(self, ask: Ask, now_ms: int, steady_ms: int, *, final: bool = False) -> Decision | Shortage:
        """Decide a request, and reserve its estimate if it is allowed; what is to be claimed first if it needs more.

        `final`: nothing is claimed any more, so what is not known then is for `on_unknown` to decide.
        `steady_ms` is a clock that nobody sets. Raises `Restoring`, `TooManyReservations`, and `ScopeError` for a
        dimension that cannot be part of a scope.
        """
        self.require_restored()
        organization = self.directory.organization(ask.organization)
        ruling, route = self._rule(organization, ask, now_ms, steady_ms, final=final)
        plain = is_plain(ruling)
        if not plain and ruling.lacking:
            return self._shortage(organization, ruling)
        name = self._mint.name(now_ms)
        decision_id, known = f"dec-{name}", self._known(organization, steady_ms)
        brief = plain and ask.detail == "brief" and not self._sampled(decision_id)
        if ask.dry_run or (not plain and ruling.action in (Action.DENY, Action.THROTTLE)):
            return explain(ruling, decision_id, known, brief=brief)
        if len(self.reservations) >= self._max:
            raise TooManyReservations
        expires_at_ms, amount = now_ms + self._ttl_ms, ruling.estimate.nanousd
        paced = () if plain else ruling.paced
        reservation = Reservation(f"rsv-{name}", ruling.ask, amount, route.standings, now_ms, expires_at_ms, paced)
        hold = Hold(
            id=reservation.id,
            estimate_usd=None if amount is None else usd(amount),
            expires_at=instant(expires_at_ms),
        )
        decision = explain(ruling, decision_id, known, hold, brief=brief)
        if paced:
            reservation.take_pace()
        self.reservations.add(reservation)
        return decision

    def adopt(self, value: bytes) -> None:
        """Put a policy in force, and hold what is reserved in the balances that it counts.

        Raises `pydantic.ValidationError` for a policy that cannot be read.
        """
        name = self.directory.adopt(value)
        if name is None:
            return
        organization = self.directory.organization(name)
        for old in self.reservations.of(name):
            standings = organization.route(old.ask, old.reserved_at_ms).standings
            new = replace(old, standings=standings)
            self.reservations.replace(old, new)

    def tidy(self, now_ms: int) -> None:
        """Forget routes of windows gone by, and standings that nothing came of. Call it every second or so."""
        period = now_ms // ROUTES_KEPT_MS
        if period != self._period or len(self.standings.local) > LOCAL_STANDINGS_MAX:
            self._period = period
            self.directory.forget_routes()
            self.standings.forget_idle(keep=self.wants.known)

    def is_answered(self, shortage: Shortage) -> bool:
        """Whether a request that waits for its claims may try again."""
        if not shortage.needs:
            return not self.leases.is_new(shortage.partition)
        return all(need.is_answered for need in shortage.needs)

    def stale_ms(self, partition: int, steady_ms: int) -> int | None:
        """How old what is known of a partition can be; None before the ledger was heard of."""
        return self.leases.age_ms(partition, steady_ms)

    def _rule(
        self, organization: Organization, ask: Ask, now_ms: int, steady_ms: int, *, final: bool
    ) -> tuple[Ruling, Route]:
        """The ruling on the model asked for, or on one that is offered instead, and the route to it."""
        partition, policy = organization.partition, organization.policy
        fresh = self.leases.is_fresh(partition, steady_ms)
        final = final or not (fresh or self.leases.is_new(partition))
        enforcers = self.registry.alive(partition)

        caps, route = policy.requests, organization.route(ask, now_ms)
        bound = estimate(ask, caps, self.prices, now_ms)
        ruling = decide(ask, bound, route.chain, caps, now_ms, fresh=fresh, final=final, enforcers=enforcers)
        if ruling.judged is None or not policy.substitutes or ruling.lacking:
            return ruling, route
        found = self._fall_back(organization, ruling)
        return found, organization.route(found.ask, now_ms)

    def _fall_back(self, organization: Organization, first: Ruling) -> Ruling:
        ask, caps, moment, prices = first.ask, first.caps, first.moment, self.prices

        def rule_on(model: str) -> Ruling:
            other = ask.on(prices.provider_for(ask.provider, model), model)
            bound = estimate(other, caps, prices, moment.now_ms)
            chain = organization.route(other, moment.now_ms).chain
            return decide(
                other,
                bound,
                chain,
                caps,
                moment.now_ms,
                fresh=moment.fresh,
                final=moment.final,
                enforcers=moment.enforcers,
            )

        return fall_back(first, rule_on, organization.policy.substitutes)

    def _shortage(self, organization: Organization, ruling: Ruling) -> Shortage:
        """What is to be claimed before the request is decided; nothing while the ledger has not answered at all."""
        amount = ruling.estimate.at_least_nanousd
        lacking = ruling.lacking if ruling.moment.fresh else ()
        needs = [Need(by.link.key, by.link.standing, amount, by.wants_grace) for by in lacking]
        return Shortage(organization.policy.organization, organization.partition, tuple(needs))

    def _name(self, identity: str) -> None:
        self.identity, self.source = identity, f"spendgate/enforcer/{identity}"
        self._mint = Mint(identity)

    def _applied(self, partition: int, offset: int) -> None:
        """A transaction was read whole: what it says of spending, and of whose turn it is to have a share."""
        self.pending.applied(partition, offset)
        self.wants.answer_recalls(self.standings.take_recalled())

    def _known(self, organization: Organization, steady_ms: int) -> Known:
        partition = organization.partition
        position = LedgerPosition(partition=partition, offset=self._offset(partition))
        return Known(organization.policy.version, position, self.prices, self.stale_ms(partition, steady_ms))

    def require_restored(self) -> None:
        """Raise `Restoring` before every balance is known."""
        if not self.standings.restored:
            raise Restoring

    def _partition_of(self, organization: str) -> int:
        assert self.partitions is not None, "partitions are known before an organization is met"
        return self._partition_for(organization, self.partitions)

    def _offset(self, partition: int) -> int:
        return self.standings.offset(partition)
