"""A report as people read it, before it becomes HTML or Markdown: facts, sections, tables, and bars by day."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Tone = Literal["", "good", "bad", "warn", "muted"]


@dataclass(frozen=True, slots=True)
class Text:
    """A cell. `fill_bp`: it is a share, to be drawn as a bar too."""

    text: str
    tone: Tone = ""
    fill_bp: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers stand to the right."""

    title: str
    right: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the last is a total if `total` is set."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Text, ...], ...]
    total: tuple[Text, ...] | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One label of a chart with two amounts: now, and before (None: there is none)."""

    label: str
    now: int
    before: int | None
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars beside one another, with what the two amounts are called."""

    now: str
    before: str
    bars: tuple[Bar, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do."""

    what: str
    why: str
    who: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report; `empty` is said when it has nothing to show."""

    title: str
    says: tuple[str, ...] = ()
    table: Table | None = None
    chart: Chart | None = None
    tasks: tuple[Task, ...] = ()
    empty: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.tasks or self.chart or (self.table and self.table.rows))


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure that is read first."""

    label: str
    value: str
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    organization: str
    subtitle: str
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = field(default=())


def columns(*titles: str) -> tuple[Column, ...]:
    """Columns of these titles; those that start with `>` stand to the right."""
    return tuple(Column(title.removeprefix(">"), title.startswith(">")) for title in titles)


def cells(*texts: str | Text) -> tuple[Text, ...]:
    """A row of plain or toned cells."""
    return tuple(text if isinstance(text, Text) else Text(text) for text in texts)
