"""Every named query says what it answers, which parameters it takes, and how to try it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.adapters.warehouse import named
from services.adapters.warehouse.named import QueryFileError

PLACEHOLDER = re.compile(r"\{(\w+):([\w()]+)\}")
COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


def test_there_are_named_queries() -> None:
    assert "spend_by_dimension" in named.names()


@pytest.mark.parametrize("name", named.names())
def test_a_query_explains_itself_and_its_parameters_as_it_uses_them(name: str) -> None:
    query = named.read(name)
    used = dict(PLACEHOLDER.findall(COMMENT.sub("", query.text)))
    assert query.says
    assert query.parameters == used
    assert query.example.keys() == used.keys()
    assert query.text.rstrip().splitlines()[-1].startswith("--"), "the example is last"


@pytest.mark.parametrize("name", named.names())
def test_a_query_reads_and_nothing_else(name: str) -> None:
    text = COMMENT.sub("", named.sql(name)).upper()
    assert text.lstrip().startswith(("SELECT", "WITH"))
    assert ";" not in text
    assert not re.search(r"\b(INSERT|ALTER|DROP|TRUNCATE|CREATE|OPTIMIZE|SYSTEM|INTO OUTFILE|URL|S3|FILE)\b", text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1", "must begin with"),
        ("-- other: says\nSELECT 1", "must begin with"),
        ("-- broken: says\nSELECT 1", "must end with one"),
        ("-- broken: says\nSELECT 1\n-- example: n=1", "not a JSON object"),
    ],
)
def test_a_file_that_does_not_explain_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    (tmp_path / "broken.sql").write_text(text)
    monkeypatch.setattr(named, "QUERIES", tmp_path)
    named.sql.cache_clear()
    with pytest.raises(QueryFileError, match=complaint):
        named.read("broken")
    named.sql.cache_clear()
