"""What is wrong with a document that a person wrote: where, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from schemas.fields import COST_USD, DECIMAL_USD, DIMENSION, DURATION, IDENTIFIER, PRINTABLE, RULE_WHEN

PROBLEMS_SHOWN_MAX = 20
PATH_CHARACTERS_MAX = 512  # a path repeats what the writer called things

PATTERN_ADVICE = {
    PRINTABLE: "has control characters or direction marks: remove them",
    DIMENSION: "is no dimension: use project, team, user, provider, model or tag.<key> (not the organization)",
    IDENTIFIER: "may have letters, digits, dots, underscores and hyphens, and starts with a letter or a digit",
    DECIMAL_USD: 'is dollars as a decimal string such as "12.50": not negative, below one billion, at most 9 decimals',
    COST_USD: 'is dollars as a decimal string such as "0.0125": not negative, below one million, at most 9 decimals',
    RULE_WHEN: "compares utilization, pace or forecast: utilization >= 0.9, pace > 1.2, forecast >= limit",
    DURATION: "is a whole number and a unit, such as 90s, 30m, 2h or 7d",
}


FieldsOf = Mapping[str, Collection[str]]
"""The fields that exist beneath each field of a document ("" is its root): what a typing error may have meant."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `path` is a JSON path such as `budgets[2].limit_usd`; empty means the whole document."""

    path: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = self.path or "the document"
        return f"{where} (line {self.line}): {self.message}" if self.line else f"{where}: {self.message}"


class DocumentError(ValueError):
    """A document that cannot be used. `problems` has each thing to mend."""

    def __init__(self, kind: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        shown = [f"  {problem}" for problem in self.problems[:PROBLEMS_SHOWN_MAX]]
        if len(self.problems) > PROBLEMS_SHOWN_MAX:
            shown.append(f"  and {len(self.problems) - PROBLEMS_SHOWN_MAX} more")
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"the {kind} has {count}:", *shown]))


def refuse(problems: Iterable[Problem]) -> None:
    """Raise all `problems` at once, if any, from inside a Pydantic validator; `problems_of` takes them out again."""
    if found := tuple(problems):
        text = "; ".join(map(str, found))
        raise PydanticCustomError("problems", "{text}", {"text": text, "problems": found})


def problems_of(error: ValidationError, fields_of: FieldsOf) -> list[Problem]:
    """Pydantic's errors as problems, with advice where Pydantic has none."""
    return [problem for details in error.errors(include_url=False) for problem in _unfold(details, fields_of)]


def json_path(location: Iterable[int | str]) -> str:
    """Pydantic's location as a JSON path: `("budgets", 0, "name")` is `budgets[0].name`."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step != "[key]":
            path += f".{step}" if path else step
    return path


def advice(details: ErrorDetails, fields_of: FieldsOf) -> str:
    """What one of Pydantic's errors asks of the person who wrote the document."""
    match details["type"]:
        case "extra_forbidden":
            *parents, field = details["loc"]
            parent = next((step for step in reversed(parents) if isinstance(step, str)), "")
            near = get_close_matches(str(field), fields_of.get(parent, ()), n=1)
            return f"unknown field; did you mean {near[0]!r}?" if near else "unknown field: remove it"
        case "missing":
            return "is required: add it"
        case "string_pattern_mismatch":
            pattern = details["ctx"]["pattern"]
            return PATTERN_ADVICE.get(pattern, f"must match {pattern}")
        case "string_type" if str(details["loc"][-1]).endswith("_usd"):
            return 'is a decimal string such as "12.50": a JSON number would lose cents'
        case "string_type":
            return "must be a text: put quotes around it"
        case "usd_float" | "problems":
            return details["msg"]
        case _:
            return details["msg"][:1].lower() + details["msg"][1:]


def _unfold(details: ErrorDetails, fields_of: FieldsOf) -> Iterator[Problem]:
    if details["type"] == "problems":
        yield from details["ctx"]["problems"]
    else:
        yield Problem(json_path(details["loc"])[:PATH_CHARACTERS_MAX], advice(details, fields_of))
