"""YAML without its traps: no objects, no aliases, no repeated keys, no floats; every value knows its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from schemas.problems import DocumentError, Problem

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where the wheel has it: the same, 8 times as fast

TEXT_CHARACTERS_MAX = 1_000_000
DEPTH_MAX = 16

WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
INTEGER = re.compile("0|-?[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data (dicts, lists, strings, integers, booleans, None) and the line on which each JSON path is written.

    Numbers with a fraction stay strings, so that `0.1` never becomes a float on its way to a decimal.
    """

    value: Any
    lines: dict[str, int]


def read_yaml(text: str, kind: str) -> Document:
    """Read one YAML document. Raises DocumentError (naming `kind`) with the line and what to do."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise DocumentError(kind, [Problem("", f"longer than {TEXT_CHARACTERS_MAX:,} characters: split it")])
    try:
        problems = list(_dangers(text))
        root = None if problems else yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError as error:
        raise DocumentError(kind, [_syntax_problem(error)]) from error
    document = Document(None, {})
    if root is not None:
        document = Document(_plain(root, "", document.lines, problems), document.lines)
    if problems:
        raise DocumentError(kind, problems)
    return document


def _dangers(text: str) -> Iterator[Problem]:
    """What must not reach the recursive composer. The parser beneath it is a flat stream of events."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent):
            yield Problem("", f"aliases (*{event.anchor}) are not read: write the value out", line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            yield Problem("", f"nested deeper than {DEPTH_MAX} levels: flatten it", line)
            return


def _syntax_problem(error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return Problem("", f"not YAML: {error.problem}", error.problem_mark.line + 1)
    return Problem("", f"not YAML: {str(error).splitlines()[0]}")


def _plain(node: yaml.Node, path: str, lines: dict[str, int], problems: list[Problem]) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, problems)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, f"{path}[{index}]", lines, problems) for index, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode), "YAML has mappings, sequences and scalars"
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: str, lines: dict[str, int], problems: list[Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        child = f"{path}.{key}" if path else key
        if not isinstance(key_node, yaml.ScalarNode):
            problems.append(Problem(path, "a key must be a plain text", key_node.start_mark.line + 1))
        elif key in values:
            problems.append(Problem(child, "written twice: keep one", key_node.start_mark.line + 1))
        else:
            values[key] = _plain(value_node, child, lines, problems)
            lines[child] = key_node.start_mark.line + 1
    return values


def _scalar(node: yaml.ScalarNode) -> str | int | None:
    text = str(node.value)
    if node.style:  # quoted, or a block
        return text
    if text in WORDS:
        return WORDS[text]
    return int(text) if INTEGER.fullmatch(text) else text
