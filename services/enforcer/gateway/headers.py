"""The `x-budget-` headers: what a gateway says of a request, and what it is told of the decision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

from services.adapters.web_errors import ApiError
from services.core.ask import Ask
from services.core.decision import BudgetLine, Decision
from services.enforcer.gateway.forwarded import sized

PREFIX: Final = "x-budget-"
TAG: Final = "x-budget-tag-"
WORDS: Final = ("organization", "project", "team", "user", "provider", "model", "priority")
NUMBERS: Final = ("input-tokens", "max-output-tokens", "input-bytes")
SAID: Final = (*(PREFIX + name for name in (*WORDS, *NUMBERS)), TAG + "<key>")
"""What a gateway may say. It must strip all of these from what clients send."""

DIGITS_MAX: Final = 12
WARNINGS_CHARS_MAX: Final = 1_024
_SAFE: Final = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}~"


def said(headers: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """What the gateway says, as fields of a check; empty headers say nothing. Raises `ApiError` 422.

    A header that comes twice is refused: one of the two may be the client's.
    """
    found: dict[str, Any] = {}
    tags: dict[str, str] = {}
    for written, value in headers:
        name = written.lower()
        if not value or not name.startswith(PREFIX):
            continue
        key, target, worth = _field(name, value)
        if key is None:
            continue
        fields = tags if target == "tag" else found
        if key in fields:
            raise _invalid(name, "comes twice: strip what clients send")
        fields[key] = worth
    size = found.pop("input_bytes", None)
    if size is not None and "input_tokens" not in found:
        found.update(sized(size))
    return {**found, "tags": tags} if tags else found


def _field(name: str, value: str) -> tuple[str | None, str, Any]:
    """The field that a header is for, whether it is a tag, and its value."""
    if not value.isprintable():
        raise _invalid(name, "holds characters that cannot be printed")
    if name.startswith(TAG):
        return name.removeprefix(TAG), "tag", value
    key = name.removeprefix(PREFIX)
    if key in WORDS:
        return key, "word", value
    if key not in NUMBERS:
        return None, "other", value
    if not (value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX):
        raise _invalid(name, "is a whole number")
    return key.replace("-", "_"), "number", int(value)


def _invalid(name: str, problem: str) -> ApiError:
    return ApiError(422, "invalid_header", f"{name} {problem}", field=name)


def told(decision: Decision, ask: Ask) -> dict[str, str]:
    """What a gateway is told of a decision. Values are ASCII: all else in them is percent-encoded."""
    return {PREFIX + name: quote(value, safe=_SAFE) for name, value in _told(decision, ask)}


def _told(decision: Decision, ask: Ask) -> Iterator[tuple[str, str]]:
    yield "decision", decision.decision
    yield "action", decision.action.value
    yield "tier", decision.tier
    yield "model", decision.model
    if ask.max_output_tokens is None:
        yield "max-output-tokens", str(decision.max_output_tokens)
    if decision.estimate_usd is not None:
        yield "estimate-usd", decision.estimate_usd
    if decision.reservation is not None:
        yield "reservation", decision.reservation.id
        yield "expires-at", decision.reservation.expires_at.isoformat(timespec="seconds")
    binding = binding_of(decision)
    if binding is not None:
        yield "binding", binding.budget
        yield "remaining-usd", binding.remaining_usd
    if decision.warnings:
        yield "warnings", "; ".join(decision.warnings)[:WARNINGS_CHARS_MAX]


def binding_of(decision: Decision) -> BudgetLine | None:
    """The budget that decided, or that would be the next to."""
    return next((line for line in decision.budgets if line.binding), None)
