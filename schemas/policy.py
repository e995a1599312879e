"""The policy of an organization: its budgets, request caps, allocation and contacts, as one document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, StrictBool, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from schemas.allocation import overcommitted
from schemas.budget import EVERY, Budget, CarryOver, Grace, Part, ScheduleRule, Tiers
from schemas.fields import Duration, Name, Usd
from schemas.problems import DocumentError, Problem, problems_of, refuse
from schemas.rules import RULES_MAX, Rule, rule_problems
from schemas.strict_yaml import read_yaml
from schemas.when import HOURS

BUDGETS_MAX = 1_000
KIND = "policy"

Tokens = Annotated[int, Field(ge=1, le=100_000_000, strict=True)]
Severity = Literal["info", "warning", "critical"]
Channel = Annotated[str, Field(max_length=2048, pattern=r"^[a-z][a-z0-9+.-]{0,31}:[^\s\x00-\x1f\x7f]+$")]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        near = get_close_matches(name, available_timezones(), n=1)
        advice = f"did you mean {near[0]!r}?" if near else "use an IANA name such as Europe/Berlin"
        raise PydanticCustomError("unknown_zone", "no such time zone; {advice}", {"advice": advice}) from None
    return name


def _hours(text: str) -> str:
    hours = HOURS.fullmatch(text)
    if hours is None or hours[1] == hours[2]:
        raise PydanticCustomError("unreadable_hours", 'hours of the day such as "22:00-07:00"')
    return text


class RequestCaps(Part):
    """Caps on a single request. `default_max_output_tokens` is the estimate when a request names no maximum."""

    max_input_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None
    max_cost_usd: Usd | None = None
    default_max_output_tokens: Tokens = 1024

    @model_validator(mode="after")
    def _default_within_cap(self) -> Self:
        if self.max_output_tokens is not None and self.default_max_output_tokens > self.max_output_tokens:
            raise PydanticCustomError(
                "default_above_cap",
                "default_max_output_tokens ({default}) is above max_output_tokens ({cap}): lower the default",
                {"default": self.default_max_output_tokens, "cap": self.max_output_tokens},
            )
        return self


class Allocation(Part):
    """Whether the limits of children may add up to more than their parent's."""

    overcommit: StrictBool = False


class Contact(Part):
    """Who is told about a budget (`*`: any, and what concerns no budget), and who is next when nobody answers.

    `to` are told one after the other, each `escalate_after` later than the one before, until somebody acknowledges.
    Of a lower severity than `min_severity`, nobody here is told. What is not critical waits for the end of the `quiet`
    hours, in the organization's time zone; of more than `at_most` messages an hour to one channel, and with a
    `digest`, what comes together is told together.
    """

    budget: Annotated[str, Field(max_length=64)]
    notify: tuple[Channel, ...] = Field(min_length=1, max_length=16)
    escalate_after: Duration | None = None
    to: Annotated[tuple[Channel, ...], Field(max_length=16)] = ()
    min_severity: Severity = "info"
    quiet: Annotated[str, Field(max_length=16), AfterValidator(_hours)] | None = None
    at_most: Annotated[int, Field(ge=1, le=1_000, strict=True)] | None = None
    digest: Duration | None = None

    @model_validator(mode="after")
    def _escalates_to_someone(self) -> Self:
        if (self.escalate_after is None) != (not self.to):
            raise PydanticCustomError("half_an_escalation", "escalate_after and to go together: write both or neither")
        return self


class Governance(Part):
    """Who must agree to a change. It is reviewed under the rules in force, not under those that it brings.

    `review` required: a policy is proposed by one person and approved by another, each with a key of their own.
    `owners` required: every budget names its `owner`. `boosts_above_usd`: above it a boost needs a second person too;
    what runs on a budget by one person's word counts together.
    """

    review: Literal["none", "required"] = "none"
    owners: Literal["none", "required"] = "none"
    boosts_above_usd: Usd | None = None


class Policy(Part):
    """Everything that limits one organization. Applying it replaces the policy before it, whole."""

    organization: Name
    timezone: Annotated[str, Field(max_length=64), AfterValidator(_known_zone)] = "UTC"
    budgets: Annotated[tuple[Budget, ...], Field(max_length=BUDGETS_MAX)] = ()
    requests: RequestCaps = RequestCaps()
    allocation: Allocation = Allocation()
    contacts: Annotated[tuple[Contact, ...], Field(max_length=256)] = ()
    rules: Annotated[tuple[Rule, ...], Field(max_length=RULES_MAX)] = ()
    governance: Governance = Governance()

    @model_validator(mode="after")
    def _whole_makes_sense(self) -> Self:
        refuse(_repeated_names(self))
        refuse(_contacts_of_nothing(self))
        refuse(rule_problems(self.rules, self.budgets))
        if self.governance.owners == "required":
            refuse(_budgets_of_nobody(self))
        if not self.allocation.overcommit:
            refuse(overcommitted(self.budgets))
        return self


def load_policy(yaml_text: str) -> Policy:
    """The policy written in a YAML document. Raises DocumentError with every problem, its path, line and advice."""
    document = read_yaml(yaml_text, KIND)
    try:
        return parse_policy(document.value)
    except DocumentError as error:
        located = [replace(problem, line=_line_of(problem.path, document.lines)) for problem in error.problems]
        raise DocumentError(KIND, located) from error


def parse_policy(data: object) -> Policy:
    """The policy in decoded JSON or YAML. Raises DocumentError with every problem, its path and advice."""
    if not isinstance(data, Mapping):
        raise DocumentError(KIND, [Problem("", "must be a mapping that starts with `organization:`")])
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        raise DocumentError(KIND, problems_of(error, FIELDS_OF)) from error


def _line_of(path: str, lines: dict[str, int]) -> int | None:
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)


def _repeated_names(policy: Policy) -> Iterator[Problem]:
    counts = Counter(budget.name for budget in policy.budgets)
    for index, budget in enumerate(policy.budgets):
        if counts[budget.name] > 1:
            yield Problem(f"budgets[{index}].name", f"{budget.name!r} names {counts[budget.name]} budgets: rename one")


def _contacts_of_nothing(policy: Policy) -> Iterator[Problem]:
    names = {EVERY, *(budget.name for budget in policy.budgets)}
    for index, contact in enumerate(policy.contacts):
        if contact.budget not in names:
            near = get_close_matches(contact.budget, names, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "name a budget, or * for all"
            yield Problem(f"contacts[{index}].budget", f"no budget is called {contact.budget!r}; {advice}")


def _budgets_of_nobody(policy: Policy) -> Iterator[Problem]:
    for index, budget in enumerate(policy.budgets):
        if budget.owner is None:
            yield Problem(f"budgets[{index}].owner", f"{budget.name!r} has none, and governance asks for one: add it")


MODELS: dict[str, type[Part]] = {
    "": Policy,
    "budgets": Budget,
    "tiers": Tiers,
    "grace": Grace,
    "carry_over": CarryOver,
    "schedule": ScheduleRule,
    "requests": RequestCaps,
    "allocation": Allocation,
    "contacts": Contact,
    "rules": Rule,
    "governance": Governance,
}
FIELDS_OF = {parent: tuple(model.model_fields) for parent, model in MODELS.items()}
