"""How figures are written for people: rounded for the eye, exact where somebody points at them. Pure."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from services.core.events import from_ms
from services.core.money import NANOS_PER_USD, format_usd, round_half_even

MISSING: Final = "\N{EN DASH}"
_UTC: Final = ZoneInfo("UTC")


def money(nanousd: int | None, *, unpriced: int = 0) -> str:
    """Dollars: cents from a dollar on, four decimals below; at least that, when requests are unpriced."""
    if nanousd is None:
        return MISSING
    return _dollars(nanousd, 2 if abs(nanousd) >= NANOS_PER_USD or not nanousd else 4, unpriced)


def each(nanousd: int | None) -> str:
    """What one request costs: six decimals below a cent."""
    if nanousd is None:
        return MISSING
    return _dollars(nanousd, 6) if 0 < abs(nanousd) < NANOS_PER_USD // 100 else money(nanousd)


def limit(nanousd: int) -> str:
    """A limit: whole dollars or cents, unless somebody wrote a finer one."""
    if nanousd % NANOS_PER_USD == 0:
        return f"${nanousd // NANOS_PER_USD:,}"
    return _dollars(nanousd, 2) if nanousd % (NANOS_PER_USD // 100) == 0 else dollars(format_usd(nanousd))


def exact(nanousd: int | None) -> str:
    """Every digit, for whoever points at an amount."""
    return "not known" if nanousd is None else f"{format_usd(nanousd)} USD"


def dollars(text: str | None) -> str:
    """An amount that a record has as text, with a sign of its currency and every digit."""
    if text is None:
        return MISSING
    whole, point, rest = text.removeprefix("-").partition(".")
    sign = "\N{MINUS SIGN}" if text.startswith("-") else ""
    return f"{sign}${int(whole):,}{point}{rest}"


def percent(basis_points: int | None) -> str:
    """Basis points as a percentage: one decimal below a hundred, and never 100% for what is less."""
    if basis_points is None:
        return MISSING
    return f"{basis_points // 100:,}%" if basis_points >= 10_000 else f"{basis_points / 100:.1f}%"


def chance(probability: float | None) -> str:
    """A probability as a percentage that never claims certainty."""
    if probability is None:
        return MISSING
    if probability < 0.01:
        return "< 1%"
    return "> 99%" if probability > 0.99 else f"{probability * 100:.0f}%"


def count(number: int) -> str:
    """A whole number with thousands apart."""
    return f"{number:,}"


def plain(name: str) -> str:
    """A name from a program as words."""
    return name.replace("_", " ")


def clock(at: int | datetime, zone: ZoneInfo = _UTC) -> str:
    """An instant as a person there reads it: `30 Nov, 18:20:05`."""
    return f"{_local(at, zone):%-d %b, %H:%M:%S}"


def stamp(at: int | datetime) -> str:
    """An instant for programs."""
    return _local(at, _UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def day(on: date | None) -> str:
    """A day: `30 Nov`."""
    return MISSING if on is None else f"{on:%-d %b}"


def period(label: str) -> str:
    """The label of a window as words: `Nov 2026`, `30 Nov`, `18:00`."""
    kind, _, text = label.partition(":")
    match kind:
        case "month":
            return f"{date.fromisoformat(f'{text}-01'):%b %Y}"
        case "day":
            return f"{date.fromisoformat(text):%-d %b}"
        case "hour" | "minute":
            return f"{datetime.fromisoformat(text):%-d %b, %H:%M}"
        case "week" | "quarter":
            return text.replace("-", " ")
    return text or "all time"


def _dollars(nanousd: int, decimals: int, unpriced: int = 0) -> str:
    scaled = round_half_even(abs(nanousd), 10 ** (9 - decimals))
    if not scaled and nanousd:
        decimals, scaled = 9, abs(nanousd)
    whole, rest = divmod(scaled, 10**decimals)
    sign = "\N{MINUS SIGN}" if nanousd < 0 else ""
    return f"{'≥ ' if unpriced else ''}{sign}${whole:,}.{rest:0{decimals}d}"


def _local(at: int | datetime, zone: ZoneInfo) -> datetime:
    return (from_ms(at) if isinstance(at, int) else at).astimezone(zone)
