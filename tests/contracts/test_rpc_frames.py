"""Frames come out as they went in, however the stream is cut, and nothing is read past a frame that is none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.frames import HEADER_BYTES, FrameError, Frames, framed

BYTES_MAX = 300
payloads = st.lists(st.binary(min_size=1, max_size=BYTES_MAX), max_size=8)


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(stream) + 1) for place in at), len(stream)]
    return [stream[start:end] for start, end in pairwise(places)]


@given(payloads, st.lists(st.integers(0, 10_000), max_size=20))
def test_any_split_of_the_stream_gives_the_same_frames(sent: list[bytes], at: list[int]) -> None:
    frames, received = Frames(BYTES_MAX), []
    for data in cut(b"".join(map(framed, sent)), at):
        received += [bytes(frame) for frame in frames.feed(data)]
    assert received == sent
    assert frames.waiting == 0


@given(payloads.filter(bool), st.integers(1, BYTES_MAX))
def test_a_truncated_frame_waits(sent: list[bytes], missing: int) -> None:
    stream = b"".join(map(framed, sent))
    cut_off = min(missing, len(sent[-1]) + HEADER_BYTES - 1)
    frames = Frames(BYTES_MAX)
    assert [bytes(frame) for frame in frames.feed(stream[:-cut_off])] == sent[:-1]
    assert frames.waiting == HEADER_BYTES + len(sent[-1]) - cut_off
    assert [bytes(frame) for frame in frames.feed(stream[-cut_off:])] == sent[-1:]


@given(payloads, st.one_of(st.just(0), st.integers(BYTES_MAX + 1, 2**32 - 1)), st.lists(st.integers(0, 10_000)))
def test_what_comes_before_a_bad_length_is_still_given(sent: list[bytes], size: int, at: list[int]) -> None:
    stream = b"".join(map(framed, sent)) + size.to_bytes(HEADER_BYTES, "big")
    frames, received = Frames(BYTES_MAX), []
    with pytest.raises(FrameError) as refused:
        for data in cut(stream, at):
            for frame in frames.feed(data):
                received.append(bytes(frame))  # noqa: PERF401 - those before the error count
    assert received == sent
    assert refused.value.code == ("frame_too_large" if size else "empty_frame")


def test_a_frame_of_exactly_the_limit_is_read() -> None:
    assert [bytes(frame) for frame in Frames(3).feed(framed(b"abc"))] == [b"abc"]
    with pytest.raises(FrameError, match="from 1 to 3 bytes"):
        list(Frames(3).feed(framed(b"abcd")))


def test_what_was_not_taken_is_kept_when_the_reader_gives_up() -> None:
    frames = Frames(BYTES_MAX)
    for frame in frames.feed(framed(b"one") + framed(b"two")):
        assert bytes(frame) == b"one"
        break
    assert [bytes(frame) for frame in frames.feed(framed(b"three"))] == [b"two", b"three"]
