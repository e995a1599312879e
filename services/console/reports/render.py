"""The three forms of a report: HTML that prints, Markdown, and JSON."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.core.governance.document import Chart, Document, Section, Table, Text
from services.core.governance.plain_data import plain_data
from services.core.governance.words import dollars

Format = Literal["html", "md", "json"]
MEDIA: Final[dict[Format, str]] = {"html": "text/html", "md": "text/markdown", "json": "application/json"}
_TEMPLATES: Final = Path(__file__).parent / "templates"
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_LINES: Final = re.compile(r"[\r\n\t\v\f\u2028\u2029]+")


def html(document: Document) -> str:
    """A whole page that needs nothing else: styles inside, no scripts. Every text in it is escaped."""
    return _environment().get_template("report.html").render(document=document)


def markdown(document: Document) -> str:
    """GitHub's Markdown. Names cannot break out of their cells, nor become markup."""
    lines = [f"# {_plain(document.title)}", "", f"**{_plain(document.organization)}**, {_plain(document.subtitle)}", ""]
    for fact in document.facts:
        note = f" ({_plain(fact.note)})" if fact.note else ""
        lines.append(f"* {_plain(fact.label)}: **{_plain(fact.value)}**{note}")
    for section in document.sections:
        lines += ["", f"## {_plain(section.title)}", "", *_section(section)]
    if document.notes:
        lines += ["", "---", "", *(f"* {_plain(note)}" for note in document.notes)]
    return "\n".join(lines) + "\n"


def json(report: Any, kind: str) -> str:
    """The report's own data, stable for programs."""
    return msgspec.json.format(msgspec.json.encode(plain_data(report, kind)), indent=2).decode() + "\n"


def _section(section: Section) -> list[str]:
    if section.is_empty:
        return [_plain(section.empty)]
    lines = [_plain(" ".join(section.says)), ""] if section.says else []
    for number, task in enumerate(section.tasks, 1):
        who = f" Asked first: {_plain(task.who)}." if task.who else ""
        lines.append(f"{number}. **{_plain(task.what)}**: {_plain(task.why)}.{who}")
    if section.chart is not None:
        lines += _chart(section.chart)
    if section.table is not None and section.table.rows:
        lines += _table(section.table)
    return lines


def _table(table: Table) -> list[str]:
    titles = _row([column.title for column in table.columns])
    rule = "|" + "|".join(" ---: " if column.right else " --- " for column in table.columns) + "|"
    rows = [_row(_texts(row)) for row in table.rows]
    total = (
        [] if table.total is None else [_row([f"**{_plain(t)}**" if t else "" for t in _texts(table.total)], raw=True)]
    )
    return [titles, rule, *rows, *total]


def _chart(chart: Chart) -> list[str]:
    with_before = any(bar.before is not None for bar in chart.bars)
    titles = ["", chart.now, chart.before] if with_before else ["", chart.now]
    rule = "| --- |" + " ---: |" * (len(titles) - 1)
    rows = [[bar.label, dollars(bar.now), *([dollars(bar.before or 0)] if with_before else [])] for bar in chart.bars]
    return [_row(titles), rule, *map(_row, rows)]


def _texts(row: tuple[Text, ...]) -> list[str]:
    return [cell.text for cell in row]


def _row(texts: list[str], *, raw: bool = False) -> str:
    return "| " + " | ".join(text if raw else _plain(text) for text in texts) + " |"


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", _LINES.sub(" ", text))


def _height(amount: int, chart: Chart) -> int:
    """How high a bar is, in percent of the highest."""
    highest = max((max(bar.now, bar.before or 0) for bar in chart.bars), default=0)
    return max(amount, 0) * 100 // highest if highest > 0 else 0


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    found.filters |= {"height": _height, "dollars": dollars}
    return found
