"""Amounts, shares, changes and scopes as sentences of a report say them."""

from __future__ import annotations

from urllib.parse import unquote

from services.core.money import NANOS_PER_USD, round_half_even

CENT_NANOUSD = 10_000_000


def dollars(nanos: int, *, unpriced: int = 0) -> str:
    """`$1,234.50`, to the cent; `≥` says that some requests have no price yet. Below a cent, three figures more."""
    places = 2 if nanos == 0 or abs(nanos) >= CENT_NANOUSD else 6
    units = round_half_even(abs(nanos), 10 ** (9 - places))
    whole, rest = divmod(units, 10**places)
    sign = "-" if nanos < 0 and units else ""
    return f"{'≥ ' if unpriced > 0 else ''}{sign}${whole:,}.{rest:0{places}d}"


def signed(nanos: int) -> str:
    """`+$12.00`, `-$3.50`, `$0.00`."""
    return f"+{dollars(nanos)}" if nanos > 0 else dollars(nanos)


def percent(basis_points: int) -> str:
    """`87.5%`, rounded down: what is not full does not say 100%."""
    whole, tenths = divmod(abs(basis_points) // 10, 10)
    return f"{'-' if basis_points < 0 else ''}{whole}.{tenths}%"


def growth(now: int, before: int) -> str:
    """How much more than before: `+18.2%`, or `new` when there was nothing."""
    if before <= 0:
        return "new" if now > 0 else "-"
    points = round_half_even((now - before) * 10_000, before)
    return f"+{percent(points)}" if points > 0 else percent(points)


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 request`, `2,000 requests`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def rough(nanos: int) -> str:
    """`$6,309`: whole dollars from a hundred on, for what is only an estimate."""
    if abs(nanos) < 100 * NANOS_PER_USD:
        return dollars(nanos)
    return dollars(round_half_even(nanos, NANOS_PER_USD) * NANOS_PER_USD).removesuffix(".00")


def interval(low_nanousd: int, high_nanousd: int) -> str:
    """`$4,683 to $6,309`."""
    return f"{rough(low_nanousd)} to {rough(high_nanousd)}"


def exact(nanos: int) -> str:
    """`1,632.525699739`: all nine decimals, for amounts that must add up under one another."""
    whole, rest = divmod(abs(nanos), NANOS_PER_USD)
    return f"{'-' if nanos < 0 else ''}{whole:,}.{rest:09d}"


def scope_words(scope: str) -> str:
    """A scope as people say it: `project search / team ranking`, `the organization`; an empty name is `no team`."""
    parts = [part.partition(":") for part in scope.split("/")[1:]]
    said = [f"{unquote(name)} {unquote(value)}" if value else f"no {unquote(name)}" for name, _, value in parts]
    return " / ".join(said) or "the organization"


def window_words(label: str) -> str:
    """`month 2026-11`; the kind alone where there was no window."""
    kind, _, period = label.partition(":")
    return f"{kind} {period}".strip()


def named(name: str, dimension: str) -> str:
    """A name, or words for who has none."""
    return name or f"(no {dimension})"
