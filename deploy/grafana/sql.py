"""The two things that every query of a panel needs: names chosen at the top, safely, and dollars, exactly."""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import dedent

from deploy.grafana.macros import ALL_CHOSEN, closing

_CHOSEN = "@chosen("
_VALUE = re.compile(r"@value\((\w+)\)")
_USD = "@usd("


def sql(text: str, **parts: str) -> str:
    """A query with our own shorthands written out; a person can paste the result into Grafana.

    `@chosen(name)` is true of rows whose column `name` is among what was chosen of the variable of that name;
    `@chosen(name = expression)` compares an expression instead. `@value(name)` is the one value chosen. `@usd(amount)`
    are dollars of nano-dollars, as a decimal with all nine digits. `@name` stands for one of `parts`.

    Values travel percent-encoded and are decoded by ClickHouse, because no quoting that Grafana offers is safe there:
    each leaves backslashes as they are, so that a user named `\\' OR 1 --` would end the literal. Raises ValueError
    for an `@usd(` that does not end.
    """
    text = dedent(text).strip()
    for name, part in parts.items():
        text = re.sub(rf"@{name}\b(?!\()", part.strip().replace("\\", r"\\"), text)
    text = _VALUE.sub(lambda found: f"decodeURLComponent(substring({_encoded(found[1])}, 3))", text)
    return _written_out(_written_out(text, _CHOSEN, _chosen), _USD, _usd)


def _written_out(text: str, opening: str, write: Callable[[str], str]) -> str:
    """A text with every call of a shorthand replaced by what is written for its argument."""
    while opening in text:
        before, _, rest = text.partition(opening)
        end = closing("(" + rest) - 1
        text = before + write(rest[:end]) + rest[end + 1 :]
    return text


def _usd(amount: str) -> str:
    return f"toDecimal128({amount}, 9) / 1000000000"


def _chosen(argument: str) -> str:
    variable, separator, expression = argument.partition(" = ")
    expression = expression if separator else variable
    encoded = _encoded(variable)
    values = f"arrayMap(v -> decodeURLComponent(substring(v, 3)), splitByChar('&', {encoded}))"
    # `has` of a constant array prunes by the primary key; `IN` of a computed array reads every granule.
    return f"({encoded} = '{ALL_CHOSEN}' OR has({values}, {expression}))"


def _encoded(variable: str) -> str:
    """`'v=alice&v=bob'`: every value is marked, so that none can be taken for the word that means all."""
    return f"'${{{variable}:customqueryparam:v}}'"
