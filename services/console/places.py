"""Where things are: the address of the page of each scope, and the scope of each page. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from services.console.books import dimensions_of
from services.core.scope import Level, level_of, scope_key

_PATHS = {
    Level.ORGANIZATION: "/o/{org}",
    Level.PROJECT: "/o/{org}/p/{project}",
    Level.TEAM: "/o/{org}/p/{project}/t/{team}",
    Level.USER: "/o/{org}/u/{user}",
}
_KINDS = {
    ("o",): ("org",),
    ("o", "p"): ("org", "project"),
    ("o", "p", "t"): ("org", "project", "team"),
    ("o", "u"): ("org", "user"),
}


@dataclass(frozen=True, slots=True)
class Crumb:
    """One step of the way from all organizations to a scope."""

    kind: str
    name: str
    path: str


@lru_cache(maxsize=65_536)
def path_of(scope: str) -> str | None:
    """The page of a scope; None for a budget's scope that is no level, such as a model."""
    pattern = _PATHS.get(level_of(scope))
    if pattern is None:
        return None
    return pattern.format_map({name: quote(value, safe="") for name, value in dimensions_of(scope).items()})


def scope_of_path(path: str) -> str | None:
    """The scope whose page is at a path, as it is sent (percent-encoded); None when it is no scope's."""
    parts = path.strip("/").split("/")
    names, values = _KINDS.get(tuple(parts[::2])), [unquote(part) for part in parts[1::2]]
    if names is None or len(names) != len(values) or not all(values):
        return None
    return scope_key(dict(zip(names, values, strict=True)))


def organization_of(scope: str) -> str:
    """Whose scope it is."""
    return dimensions_of(scope)["org"]


@lru_cache(maxsize=65_536)
def short_name(scope: str) -> str:
    """A scope as people say it within its organization: `search / ranking`; the organization itself by its name."""
    values = dimensions_of(scope)
    rest = {name: value for name, value in values.items() if name != "org"}
    if not rest:
        return values["org"]
    if set(rest) <= {"project", "team"} or set(rest) == {"user"}:
        return " / ".join(rest.values())
    return ", ".join(f"{name.removeprefix('tag.')} {value}" for name, value in rest.items())


def crumbs(scope: str) -> list[Crumb]:
    """The way to a scope, the organization first."""
    values: dict[str, str] = {}
    steps = []
    for kind, value in dimensions_of(scope).items():
        values[kind] = value
        path = path_of(scope_key(values))
        if path is not None:
            steps.append(Crumb("organization" if kind == "org" else kind, value, path))
    return steps
