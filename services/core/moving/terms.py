"""What a move of money may do: between which budgets, how much of it, and what it has to leave where it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from schemas.allocation import overcommitted
from schemas.budget import Budget as WrittenBudget
from schemas.policy import Policy
from services.core.money import NANOS_PER_USD, format_usd, parse_usd
from services.core.policy import ANY, Budget, CompiledPolicy
from services.core.rejection import Reason, Refused
from services.core.schedule import BASIS_POINTS


def check_pair(source: Budget, target: Budget) -> None:
    """Whether money of one budget can be money of the other at all. Raises Refused."""
    if source.name == target.name:
        raise Refused(Reason.INVALID_MOVE, f"{source.name!r} cannot give to itself", "data.to_budget")
    if source.window is not target.window:
        detail = f"{source.name!r} counts by the {source.window}, {target.name!r} by the {target.window}"
        raise Refused(Reason.INVALID_MOVE, f"{detail}: move between budgets of one window", "data.to_budget")
    for budget, field in ((source, "data.from_budget"), (target, "data.to_budget")):
        if any(value == ANY for _, value in budget.pattern):
            detail = f"{budget.name!r} is a limit for each of many (`*`): name the one in a budget of its own"
            raise Refused(Reason.INVALID_MOVE, detail, field)
    if _contains(source, target) or _contains(target, source):
        detail = f"{source.name!r} and {target.name!r} count some spending both, so it would be moved and kept"
        raise Refused(Reason.INVALID_MOVE, f"{detail}: move from a budget beside it", "data.from_budget")


def check_bounds(
    policy: CompiledPolicy, written: Policy, source: Budget, target: Budget, amount: int, at_ms: int
) -> None:
    """Whether the move stays between what the policy says: the least, the most, and the parents. Raises Refused."""
    by_name = {budget.name: budget for budget in written.budgets}
    spare = sparing(source, by_name[source.name], at_ms)
    if amount > spare:
        detail = f"{source.name!r} keeps its least at every hour of its schedule: it can give ${format_usd(spare)}"
        raise Refused(Reason.BELOW_MINIMUM, detail, "data.amount_usd")
    takes = taking(target, by_name[target.name], at_ms)
    if takes is not None and amount > takes:
        detail = f"{target.name!r} has a max_usd of ${by_name[target.name].max_usd}: it can take ${format_usd(takes)}"
        raise Refused(Reason.ABOVE_MAXIMUM, detail, "data.amount_usd")
    own = plain_limit(target, at_ms) + amount
    for parent in parents(policy.budgets, target):
        if own > (most := plain_limit(parent, at_ms)):
            detail = f"{target.name!r} would have ${format_usd(own)}"
            parent_has = f"its parent {parent.name!r} has ${format_usd(most)}"
            raise Refused(Reason.ABOVE_PARENT, f"{detail}, {parent_has}", "data.amount_usd")
    if not written.allocation.overcommit:
        _check_allocation(policy, written, {source.name: -amount, target.name: amount}, at_ms)


def free(limit_nanousd: int, hard_bp: int, committed_nanousd: int) -> int:
    """How much a limit can fall before its hard tier is below what is settled and granted; nano-dollars, 0 at least."""
    return max(0, limit_nanousd - -(-committed_nanousd * BASIS_POINTS // hard_bp))


def sparing(source: Budget, written: WrittenBudget, at_ms: int) -> int:
    """What a budget can give and keep its `min_usd` whatever its schedule says later in the window; nano-dollars."""
    lowest_bp = min([BASIS_POINTS, *(rule.factor_bp for rule in source.schedule)])
    least = parse_usd(written.min_usd) if written.min_usd is not None else 0
    return max(0, source.limit_nanousd * lowest_bp // BASIS_POINTS + source.moved_at(at_ms) - least)


def taking(target: Budget, written: WrittenBudget, at_ms: int) -> int | None:
    """What a budget can take within its `max_usd`; None without one; nano-dollars."""
    if written.max_usd is None:
        return None
    return max(0, parse_usd(written.max_usd) - plain_limit(target, at_ms))


def plain_limit(budget: Budget, at_ms: int) -> int:
    """What is written, and what was moved: without schedules and boosts, as allocations are compared."""
    return budget.limit_nanousd + budget.moved_at(at_ms)


def parents(budgets: Iterable[Budget], child: Budget) -> list[Budget]:
    """The budgets of the same window that count all that the child counts, and more."""
    return [each for each in budgets if each.window is child.window and _contains(each, child)]


def _contains(wide: Budget, narrow: Budget) -> bool:
    values = dict(narrow.pattern)
    return all(values.get(dimension) == value for dimension, value in wide.pattern) and wide.name != narrow.name


def _check_allocation(policy: CompiledPolicy, written: Policy, changes: dict[str, int], at_ms: int) -> None:
    limits = {budget.name: plain_limit(budget, at_ms) for budget in policy.budgets}
    known = set(_problems(written.budgets, limits))
    after = {name: limit + changes.get(name, 0) for name, limit in limits.items()}
    for problem in _problems(written.budgets, after):
        if problem not in known:
            raise Refused(Reason.ABOVE_PARENT, problem, "data.amount_usd")


def _problems(budgets: Sequence[WrittenBudget], limits: dict[str, int]) -> list[str]:
    moved = [each.model_copy(update={"limit_usd": _decimal(max(0, limits[each.name]))}) for each in budgets]
    return [problem.message for problem in overcommitted(moved)]


def _decimal(nanousd: int) -> str:
    return str(Decimal(nanousd) / NANOS_PER_USD)
