"""Any CSV of LLM requests becomes a trace, or the message says which row or column to mend."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import pytest

from services.cli.commands.demo import TRACES
from services.cli.trace import Columns, TraceError, merge, read_trace, span_us

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:17:04.0319600,3180,8\r\n"
    "2023-11-16 18:17:03.9799600,4808,10\r\n"
)


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    return tmp_path / "code.csv"


def test_rows_come_by_time_with_seven_digit_fractions_and_crlf(csv_file: Path) -> None:
    csv_file.write_bytes(AZURE.encode())
    rows = read_trace(csv_file)
    assert [(row.row, row.input_tokens, row.output_tokens) for row in rows] == [(2, 4808, 10), (1, 3180, 8)]
    assert span_us(rows) == 52_000
    assert {row.trace for row in rows} == {"code"}


def test_gzip_is_recognized_by_its_content_and_a_byte_order_mark_is_ignored(csv_file: Path) -> None:
    csv_file.write_bytes(gzip.compress(b"\xef\xbb\xbf" + AZURE.encode()))
    assert len(read_trace(csv_file)) == 2


@pytest.mark.parametrize(
    ("times", "span"),
    [
        (("0", "1.5"), 1_500_000),
        (("1700158000", "1700158000.25"), 250_000),
        (("2023-11-16T18:00:00+01:00", "2023-11-16T17:00:00.000001Z"), 1),
        (("2023-11-16 17:00:00", "2023-11-16T17:00:01Z"), 1_000_000),
    ],
)
def test_times_may_be_seconds_or_iso(csv_file: Path, times: tuple[str, str], span: int) -> None:
    csv_file.write_text("Time,prompt_tokens,completion_tokens\n" + "".join(f"{time},1,2\n" for time in times))
    assert span_us(read_trace(csv_file)) == span


def test_columns_can_be_named(csv_file: Path) -> None:
    csv_file.write_text("when,in,out,timestamp\n3,10,20,ignored\n")
    (row,) = read_trace(csv_file, Columns("WHEN", "in", "out"))
    assert (row.at_us, row.input_tokens, row.output_tokens) == (3_000_000, 10, 20)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("when,input_tokens,output_tokens\n", "--time-column; the header has when, input_tokens, output_tokens"),
        ("", "the header has no names"),
        ("ts,input_tokens,output_tokens\n", "no rows"),
        ("ts,input_tokens,output_tokens\n1,2,3\nsoon,2,3\n", "code, row 2, ts: 'soon' is neither"),
        ("ts,input_tokens,output_tokens\nNaN,2,3\n", "row 1, ts: 'NaN' is neither"),
        ("ts,input_tokens,output_tokens\n1,-2,3\n", "row 1, input_tokens: '-2' is not a count"),
        ("ts,input_tokens,output_tokens\n1,2,1e3\n", "row 1, output_tokens: '1e3' is not a count"),
        ("ts,input_tokens,output_tokens\n1,2\n", "row 1, output_tokens: '' is not a count"),
        ("ts,input_tokens,output_tokens\n1,2,100000001\n", "between 0 and 100,000,000"),
    ],
)
def test_what_cannot_be_used_is_named(csv_file: Path, text: str, says: str) -> None:
    csv_file.write_text(text)
    with pytest.raises(TraceError) as caught:
        read_trace(csv_file)
    assert says in str(caught.value)


def test_files_that_are_missing_cut_or_no_text_say_so(tmp_path: Path) -> None:
    for name, content in (("cut.csv", gzip.compress(AZURE.encode())[:-20]), ("bytes.csv", b"ts\xff\xfe\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TraceError, match="cannot be read as CSV"):
            read_trace(tmp_path / name)
    with pytest.raises(TraceError, match="does not exist"):
        read_trace(tmp_path / "nowhere.csv")


def test_the_committed_traces_are_what_their_readme_says() -> None:
    code, conv = (read_trace(path) for path in TRACES)
    assert [len(code), sum(r.input_tokens for r in code), sum(r.output_tokens for r in code)] == [
        8_819,
        18_059_974,
        245_896,
    ]
    assert [len(conv), sum(r.input_tokens for r in conv), sum(r.output_tokens for r in conv)] == [
        19_366,
        22_361_870,
        4_088_665,
    ]
    both = merge([code, conv])
    assert len(both) == 28_185
    assert all(earlier.at_us <= later.at_us for earlier, later in pairwise(both))
