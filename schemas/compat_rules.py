"""Whether one JSON Schema still reads all that an older one read: the rules of compatible change within a version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

SAYS_NOTHING = frozenset({"$schema", "$id", "$defs", "title", "description", "examples", "deprecated"})
LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
JUDGED = frozenset(
    {"$ref", "anyOf", "oneOf", "type", "enum", "const", "properties", "required", "additionalProperties"}
    | {"patternProperties", "propertyNames", "items", "default", *LOWER_BOUNDS, *UPPER_BOUNDS}
)
ANYTHING: Schema = {}


@dataclass(frozen=True, slots=True)
class Break:
    """One change that an older event, or an older reader, does not survive."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def breaks(old: Schema, new: Schema) -> Iterator[Break]:
    """Every breaking change between two versions of a schema document."""
    yield from _Comparison(old.get("$defs", {}), new.get("$defs", {})).compare(old, new, "$")


@dataclass(frozen=True, slots=True)
class _Comparison:
    old_defs: Schema
    new_defs: Schema

    def compare(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        old_branches, new_branches = _branches(old, self.old_defs), _branches(new, self.new_defs)
        for branch in old_branches:
            yield from self._nearest(branch, new_branches, path)
        if old.get("default") != new.get("default") and "default" in old:
            # Defaults are left out on the wire, so an event of yesterday would say something else tomorrow.
            yield Break(path, f"the default was {old['default']!r} and is {new.get('default', 'gone')!r}")

    def _nearest(self, branch: Schema, candidates: list[Schema], path: str) -> Iterator[Break]:
        """What breaks in the candidate that breaks least: one that reads all of `branch` is enough."""
        verdicts = [list(self._branch(branch, candidate, path)) for candidate in candidates]
        alike = [verdict for verdict, candidate in zip(verdicts, candidates, strict=True) if _alike(branch, candidate)]
        yield from min(alike or verdicts, key=len)

    def _branch(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        yield from _types(old, new, path)
        yield from _values(old, new, path)
        yield from _bounds(old, new, path)
        yield from _unjudged(old, new, path)
        yield from self._object(old, new, path)
        if "items" in new:
            yield from self.compare(old.get("items", ANYTHING), new["items"], f"{path}[]")
        if "propertyNames" in new:
            yield from self.compare(old.get("propertyNames", ANYTHING), new["propertyNames"], f"{path}{{name}}")

    def _object(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
        for name in old_fields.keys() - new_fields.keys():
            yield Break(f"{path}.{name}", "removed")
        for name in set(new.get("required", ())) - set(old.get("required", ())):
            yield Break(f"{path}.{name}", "is required now" if name in old_fields else "is new and required")
        for name in old_fields.keys() & new_fields.keys():
            yield from self.compare(old_fields[name], new_fields[name], f"{path}.{name}")
        yield from self._other_fields(old, new, path)

    def _other_fields(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        old_rest, new_rest = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if new_rest is False and old_rest is not False:
            yield Break(path, "refuses unknown fields now")
        elif isinstance(new_rest, Mapping) and old_rest is not False:
            old_schema = old_rest if isinstance(old_rest, Mapping) else ANYTHING
            yield from self.compare(old_schema, new_rest, f"{path}.*")
        for pattern, schema in new.get("patternProperties", {}).items():
            before = old.get("patternProperties", {}).get(pattern)
            if before is None:
                yield Break(path, f"fields that match {pattern} have a rule now")
            else:
                yield from self.compare(before, schema, f"{path}.*")


def _branches(schema: Schema, definitions: Schema) -> list[Schema]:
    """The alternatives of a schema, with references followed and siblings of `anyOf` merged into each."""
    while "$ref" in schema:
        siblings = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **siblings}
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            siblings = {key: value for key, value in schema.items() if key not in (keyword, "default")}
            return [leaf for branch in schema[keyword] for leaf in _branches({**siblings, **branch}, definitions)]
    return [schema]


def _alike(old: Schema, new: Schema) -> bool:
    return bool(_type_names(old) & _type_names(new))


def _type_names(schema: Schema) -> set[str]:
    names = schema.get("type", ("null", "boolean", "integer", "number", "string", "array", "object"))
    found = {names} if isinstance(names, str) else set(names)
    return found | {"integer"} if "number" in found else found


def _types(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    if lost := _type_names(old) - _type_names(new):
        yield Break(path, f"no longer reads {', '.join(sorted(lost))}")


def _values(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    old_values, new_values = _enumerated(old), _enumerated(new)
    if new_values is None:
        return
    if old_values is None:
        yield Break(path, f"reads only {new_values} now")
    elif lost := [value for value in old_values if value not in new_values]:
        yield Break(path, f"no longer reads {', '.join(map(repr, lost))}")


def _enumerated(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _bounds(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    for keywords, sign in ((LOWER_BOUNDS, 1), (UPPER_BOUNDS, -1)):
        for keyword in keywords:
            if keyword in new and (keyword not in old or sign * new[keyword] > sign * old[keyword]):
                yield Break(path, f"{keyword} was {old.get(keyword, 'free')} and is {new[keyword]}")


def _unjudged(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    """Rules that cannot be compared (`pattern`, `format`, ...) may go, but not come or change."""
    for keyword in new.keys() - JUDGED - SAYS_NOTHING:
        if keyword not in old or old[keyword] != new[keyword]:
            yield Break(path, f"{keyword} was {old.get(keyword, 'free')!r} and is {new[keyword]!r}")
