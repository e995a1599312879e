"""What is written: the same facts as text, HTML and JSON, with links that work and nothing that escapes."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from services.core.notifying import PIPELINE
from services.notifier.letter import page_of
from services.notifier.signing import BadLink, Signer
from tests.notifier.letters import NOW_MS, SIGNER, letter, notice

DAY_MS = 86_400_000


def test_a_letter_says_what_happened_who_owns_it_and_what_to_do() -> None:
    text = letter().text
    assert "acme: all has reached 90% of $50,000" in text
    assert "Owner: Ada <script>" in text
    assert "https://console.example/o/acme/p/search" in text
    assert "spendgate ack 'all/org:acme@month:2026-11/9000' --org acme" in text


def test_what_people_have_named_is_escaped_in_html() -> None:
    assert "Ada &lt;script&gt;" in letter().html
    assert "<script>" not in letter().html


def test_a_letter_of_several_alerts_tells_of_each() -> None:
    both = letter(notice("a"), notice("b"))
    assert both.subject == "[warning] 2 alerts; acme: all has reached 90% of $50,000"
    assert [each["alert"] for each in json.loads(both.json())["alerts"]] == ["a", "b"]


def test_who_is_asked_because_nobody_answered_is_told_so() -> None:
    assert letter(step=1).subject.startswith("[warning] Unanswered: ")
    assert "Nobody has answered this yet" in letter(step=1).text


def test_the_same_message_has_the_same_key_however_often_it_is_written() -> None:
    assert json.loads(letter().json())["id"] == letter().id == "key-1"


def test_what_concerns_the_operators_links_to_no_organization() -> None:
    facts = {"says": "SinkBehind: charges wait", "lines": ["look at ClickHouse"]}
    broken = replace(notice(), kind=PIPELINE, scope="pipeline", budget=None, organization="(operators)", facts=facts)
    written = letter(broken)
    assert "SinkBehind: charges wait" in written.text
    assert written.data["alerts"][0]["links"] == {}


@pytest.mark.parametrize(
    ("scope", "page"),
    [
        ("org:acme", "/o/acme"),
        ("org:acme/project:search/team:ranking", "/o/acme/p/search/t/ranking"),
        ("org:acme/user:bo", "/o/acme/u/bo"),
        ("org:acme/model:gpt-4o", "/o/acme"),
        ("org:a%2Fb", "/o/a%2Fb"),
    ],
)
def test_links_go_to_the_page_that_is_nearest(scope: str, page: str) -> None:
    assert page_of(scope) == page


def test_a_link_acknowledges_what_it_was_made_for_and_says_nothing_of_the_channel() -> None:
    link = json.loads(letter().json())["alerts"][0]["links"]["acknowledge"]
    what = SIGNER.read_token(link.partition("token=")[2], NOW_MS)
    assert (what.organization, what.notice) == ("acme", notice().id)
    assert "SECRET" not in what.channel


@pytest.mark.parametrize(
    "spoil", [lambda t: t[:-2] + "AA", lambda t: "x" + t, lambda _: "", lambda t: t + ".x", lambda _: "é.é"]
)
def test_a_link_that_was_changed_does_not_work(spoil: object) -> None:
    token = json.loads(letter().json())["alerts"][0]["links"]["acknowledge"].partition("token=")[2]
    with pytest.raises(BadLink):
        SIGNER.read_token(spoil(token), NOW_MS)  # type: ignore[operator]


def test_a_link_does_not_work_for_ever_nor_elsewhere() -> None:
    token = json.loads(letter().json())["alerts"][0]["links"]["acknowledge"].partition("token=")[2]
    with pytest.raises(BadLink, match="too old"):
        SIGNER.read_token(token, NOW_MS + 8 * DAY_MS)
    with pytest.raises(BadLink, match="not made here"):
        Signer(b"y" * 32).read_token(token, NOW_MS)
