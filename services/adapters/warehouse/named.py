"""Runs the named queries of `deploy/clickhouse/queries`: one file a question, its parameters bound by the server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from clickhouse_connect.driver import AsyncClient

QUERIES: Final = Path(__file__).parents[3] / "deploy" / "clickhouse" / "queries"

_HEAD = re.compile(r"-- (?P<name>\w+): (?P<says>.+)")
_PARAMETER = re.compile(r"parameter (?P<name>\w+) (?P<type>[\w()]+): .+")
_EXAMPLE = "example: "


class QueryFileError(ValueError):
    """A file of a query that does not say what it must; the message names both."""


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query and what its comments say: what it answers, the types of its parameters, and values to try it with."""

    name: str
    says: str
    parameters: Mapping[str, str]
    example: Mapping[str, Any]
    text: str


def names() -> list[str]:
    """Every named query there is."""
    return sorted(path.stem for path in QUERIES.glob("*.sql"))


@cache
def sql(name: str) -> str:
    """The text of a query. Raises `FileNotFoundError`."""
    return (QUERIES / f"{name}.sql").read_text("utf-8")


async def query(client: AsyncClient, name: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a named query, by column. Raises `clickhouse.FAILURES`."""
    result = await client.query(sql(name), parameters=parameters)
    return list(result.named_results())


def read(name: str) -> NamedQuery:
    """A query with what its comments say. Raises `QueryFileError`, and `FileNotFoundError`."""
    text = sql(name)
    comments = _comments(text)
    head = _HEAD.fullmatch(f"-- {comments[0]}") if comments else None
    if head is None or head["name"] != name:
        raise QueryFileError(f"{name}.sql must begin with `-- {name}: what it answers`")
    parameters = {m["name"]: m["type"] for each in comments if (m := _PARAMETER.fullmatch(each))}
    examples = [each.removeprefix(_EXAMPLE) for each in comments if each.startswith(_EXAMPLE)]
    if len(examples) != 1:
        raise QueryFileError(f'{name}.sql must end with one `-- example: {{"parameter": value, ...}}`')
    try:
        example = msgspec.json.decode(examples[0], type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise QueryFileError(f"the example of {name}.sql is not a JSON object: {error}") from error
    return NamedQuery(name, head["says"], parameters, example, text)


def _comments(text: str) -> list[str]:
    """The comments, each on one line: a line that is not indented begins one where it is the first or has a keyword."""
    found: list[str] = []
    for line in text.splitlines():
        if not line.startswith("--"):
            continue
        words = line[2:].strip()
        if not found or words.startswith(("parameter ", _EXAMPLE)):
            found.append(words)
        else:
            found[-1] += f" {words}"
    return found
