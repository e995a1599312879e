"""The organizations and their policies in force, and the route of each request through their budgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from mypy_extensions import mypyc_attr

from schemas.policy import Policy
from services.core.effects import PolicyEntry
from services.core.events import Dimensions
from services.core.policy import CompiledPolicy
from services.core.route import Routes
from services.core.standing import Link, Standing
from services.core.state import compiled_of
from services.enforcer.standings import Standings

ROUTES_MAX = 65_536
"""How many routes of one organization are remembered."""

_decode_policy = msgspec.json.Decoder(PolicyEntry).decode


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class Route:
    """Every standing that a request counts toward, and the chain of budgets that limit it."""

    standings: tuple[Standing, ...]
    chain: tuple[Link, ...]


class Organization:
    """An organization's policy in force, and the routes met lately."""

    __slots__ = ("_known", "_open", "offset", "partition", "policy", "routes")

    def __init__(
        self, policy: CompiledPolicy, partition: int, open_standing: Callable[[str], Standing], *, offset: int = -1
    ) -> None:
        """`offset` is the ledger offset that the policy came from."""
        self.policy, self.partition, self.offset = policy, partition, offset
        self.routes = Routes(policy)
        self._open = open_standing
        self._known: dict[tuple[object, ...], Route] = {}

    def route(self, dimensions: Dimensions, at_ms: int) -> Route:
        """The route of a request at an instant. Raises `ScopeError` when a dimension cannot be part of a scope."""
        key = self.routes.cache_key(dimensions, at_ms)
        route = self._known.get(key)
        if route is None:
            route = self._find(dimensions, at_ms)
            if len(self._known) >= ROUTES_MAX:
                self._known.clear()
            self._known[key] = route
        return route

    def forget_routes(self) -> None:
        """Drop what is remembered: standings have been dropped."""
        self._known.clear()

    def _find(self, dimensions: Dimensions, at_ms: int) -> Route:
        slots = self.routes.slots(dimensions, at_ms)
        standings = [self._open(slot.key) for slot in slots]
        chain = [
            Link.of(budget, slot.scope, slot.window, standing)
            for slot, standing in zip(slots, standings, strict=True)
            for budget in slot.budgets
        ]
        return Route(tuple(standings), tuple(chain))


class Directory:
    """All organizations; one never heard of has no policy, and nothing limits it."""

    def __init__(self, standings: Standings, partition_of: Callable[[str], int]) -> None:
        self._standings, self._partition_of = standings, partition_of
        self._organizations: dict[str, Organization] = {}

    def organization(self, name: str) -> Organization:
        """An organization by name."""
        organization = self._organizations.get(name)
        if organization is None:
            organization = self._organizations[name] = self._new(CompiledPolicy.none(name))
        return organization

    def adopt(self, value: bytes) -> str | None:
        """Put an entry of the policies changelog in force; the organization's name, or None for one already known.

        Raises `pydantic.ValidationError` when this version of Spendgate cannot read the policy.
        """
        entry = _decode_policy(value)
        known = self._organizations.get(entry.organization)
        if known is not None and known.offset >= entry.offset:
            return None
        policy = compiled_of(entry, Policy.model_validate(entry.policy))
        self._organizations[entry.organization] = self._new(policy, offset=entry.offset)
        return entry.organization

    def forget_routes(self) -> None:
        """Drop all remembered routes, and the organizations that have no policy and so nothing else to remember."""
        self._organizations = {name: found for name, found in self._organizations.items() if found.policy.version}
        for organization in self._organizations.values():
            organization.forget_routes()

    def _new(self, policy: CompiledPolicy, *, offset: int = -1) -> Organization:
        partition = self._partition_of(policy.organization)
        return Organization(policy, partition, self._standings.open, offset=offset)
