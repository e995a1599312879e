"""Each kind of channel, to real receivers: a web server that fails, hangs and redirects, and a real mail server."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import Message as Mail
from hashlib import sha256
from typing import Any

import apprise
import pytest
from aiosmtpd.controller import Controller

from deploy.local.ports import free_port
from services.notifier.addresses import is_public
from services.notifier.chat import SCHEMES, Chats
from services.notifier.mail import Mails, MailServerError
from services.notifier.senders import Senders
from services.notifier.taken import NotTaken, Taken
from services.notifier.webhook import Webhooks
from tests.notifier.letters import SIGNER, letter
from tests.notifier.receiving import Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def webhooks() -> AsyncIterator[Webhooks]:
    made = Webhooks(SIGNER, timeout_s=0.5, allow_private=True)
    yield made
    await made.close()


async def test_a_webhook_is_signed_over_its_time_and_body(receiver: Receiver, webhooks: Webhooks) -> None:
    assert await webhooks.send(receiver.url, letter()) == Taken("answered 200")
    ((headers, body),) = receiver.requests
    assert headers["Idempotency-Key"] == json.loads(body)["id"] == "key-1"
    timestamp, signature = (
        part[2:] if part[1] == "=" else part[3:] for part in headers["Spendgate-Signature"].split(",")
    )
    key = SIGNER.webhook_key("acme").encode()
    assert hmac.new(key, f"{timestamp}.".encode() + body, sha256).hexdigest() == signature
    assert SIGNER.webhook_key("acme") != SIGNER.webhook_key("globex"), "each organization has a key of its own"


@pytest.mark.parametrize(
    ("answer", "for_good"),
    [(500, False), (502, False), (429, False), (408, False), (404, True), (410, True), (401, True)],
)
async def test_what_may_pass_is_tried_again_and_what_will_not_is_given_up(
    receiver: Receiver, webhooks: Webhooks, answer: int, *, for_good: bool
) -> None:
    receiver.script = [answer]
    assert await webhooks.send(receiver.url, letter()) == NotTaken(f"answered {answer}", for_good=for_good)


async def test_a_redirect_is_not_followed(receiver: Receiver, webhooks: Webhooks) -> None:
    receiver.script = [(302, {"Location": receiver.url + "/inside"})]
    outcome = await webhooks.send(receiver.url, letter())
    assert isinstance(outcome, NotTaken)
    assert outcome.for_good
    assert len(receiver.requests) == 1


async def test_a_receiver_that_hangs_is_not_waited_for(receiver: Receiver, webhooks: Webhooks) -> None:
    receiver.script = ["hang"]
    assert await webhooks.send(receiver.url, letter()) == NotTaken("no answer in time")


async def test_a_receiver_has_answered_once_its_status_is_here(receiver: Receiver, webhooks: Webhooks) -> None:
    receiver.script = ["trickle"]
    assert await webhooks.send(receiver.url, letter()) == Taken("answered 200"), "or it would be sent a second time"


async def test_a_receiver_says_when_to_come_again(receiver: Receiver, webhooks: Webhooks) -> None:
    receiver.script = [
        (429, {"Retry-After": "120"}),
        (503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        (503, {"Retry-After": "soon"}),
    ]
    waits = [await webhooks.send(receiver.url, letter()) for _ in range(3)]
    assert [each.after_ms for each in waits if isinstance(each, NotTaken)] == [120_000, 0, None]


async def test_a_receiver_that_is_not_there_is_tried_again(webhooks: Webhooks) -> None:
    outcome = await webhooks.send("http://127.0.0.1:1/hook", letter())
    assert isinstance(outcome, NotTaken)
    assert not outcome.for_good


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.8", "169.254.169.254", "[::ffff:10.0.0.8]", "0.0.0.1"]
)
async def test_addresses_inside_are_refused_unless_they_are_meant(receiver: Receiver, host: str) -> None:
    strict = Webhooks(SIGNER, timeout_s=2, allow_private=False)
    outcome = await strict.send(receiver.url.replace("127.0.0.1", host), letter())
    await strict.close()
    assert isinstance(outcome, NotTaken)
    assert outcome.for_good
    assert "private address" in outcome.detail
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        ("64:ff9b::a00:8", False),
        ("2002:a00:8::1", False),
        ("::ffff:169.254.169.254", False),
        ("fd00::1", False),
        ("fe80::1", False),
        ("224.0.0.1", False),
        ("100.64.0.1", False),
    ],
)
def test_an_address_is_public_or_it_is_not(address: str, *, public: bool) -> None:
    assert is_public(address) is public


class Postbox:
    """What a real mail server took; `refusing` makes it refuse every address."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.refusing: str | None = None

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        """The protocol's."""
        if self.refusing is not None:
            return self.refusing
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """The protocol's."""
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"


@pytest.fixture
async def postbox() -> AsyncIterator[tuple[Postbox, Mails]]:
    box = Postbox()
    server = Controller(box, hostname="127.0.0.1", port=(port := free_port()), ready_timeout=30)
    await asyncio.to_thread(server.start)
    yield box, Mails(f"smtp://127.0.0.1:{port}", "spendgate@acme.example", timeout_s=10)
    await asyncio.to_thread(server.stop)


async def test_a_mail_has_text_and_html_and_an_id_that_stays(postbox: tuple[Postbox, Mails]) -> None:
    box, mails = postbox
    assert await mails.send("mailto:finops@acme.example", letter()) == Taken("the mail server has it")
    assert await mails.send("mailto:finops@acme.example", letter()) == Taken("the mail server has it")
    first, again = box.mails
    assert first["To"] == "finops@acme.example"
    assert first["Subject"] == letter().subject
    assert [part.get_content_type() for part in first.walk()][1:] == ["text/plain", "text/html"]
    assert first["Message-ID"] == again["Message-ID"]


@pytest.mark.parametrize(("said", "for_good"), [("550 nobody here", True), ("451 later", False)])
async def test_a_mail_server_refuses_for_now_or_for_good(
    postbox: tuple[Postbox, Mails], said: str, *, for_good: bool
) -> None:
    box, mails = postbox
    box.refusing = said
    outcome = await mails.send("mailto:nobody@acme.example", letter())
    assert isinstance(outcome, NotTaken)
    assert outcome.for_good is for_good


@pytest.mark.parametrize("channel", ["mailto:", "mailto:a", "mailto:a@b,c@d", "mailto:a@b%0d%0aBcc:c@d"])
async def test_only_an_address_is_written_to(postbox: tuple[Postbox, Mails], channel: str) -> None:
    box, mails = postbox
    outcome = await mails.send(channel, letter())
    assert isinstance(outcome, NotTaken)
    assert outcome.for_good
    assert box.mails == []


async def test_without_a_mail_server_mails_wait_and_it_is_said_why() -> None:
    outcome = await Mails(None, "a@b", timeout_s=1).send("mailto:a@b", letter())
    assert outcome == NotTaken("no mail server: set SPENDGATE_MAIL_SERVER")
    with pytest.raises(MailServerError, match="smtps"):
        Mails("http://mail.example", "a@b", timeout_s=1)


async def test_a_chat_is_told_through_its_own_service(receiver: Receiver) -> None:
    host = receiver.url.removeprefix("http://").partition("/")[0]
    chats = Chats(frozenset({"mmost"}), timeout_s=5)
    assert await chats.send(f"mmost://{host}/{'t' * 24}", letter()) == Taken()
    assert "has reached 90%" in receiver.requests[0][1].decode()


async def test_a_chat_that_does_not_take_it_is_tried_again(receiver: Receiver) -> None:
    receiver.script = [500]
    host = receiver.url.removeprefix("http://").partition("/")[0]
    outcome = await Chats(frozenset({"mmost"}), timeout_s=5).send(f"mmost://{host}/{'t' * 24}", letter())
    assert isinstance(outcome, NotTaken)
    assert not outcome.for_good


@pytest.mark.parametrize(
    "channel", ["json://localhost", "syslog://", "exec://x", "file:///etc/passwd", "dbus://", "windows://"]
)
async def test_kinds_that_reach_anything_are_not_for_policies(channel: str) -> None:
    senders = Senders(
        Webhooks(SIGNER, timeout_s=1, allow_private=False), Mails(None, "a@b", timeout_s=1), Chats(timeout_s=1)
    )
    outcome = await senders.send(channel, letter())
    assert isinstance(outcome, NotTaken)
    assert outcome.for_good
    assert "not a kind of channel" in outcome.detail


def test_every_kind_that_is_allowed_is_one_that_apprise_knows() -> None:
    Chats(timeout_s=1)
    kinds = apprise.Apprise().details()["schemas"]
    known = {scheme for kind in kinds for scheme in (*(kind["protocols"] or ()), *(kind["secure_protocols"] or ()))}
    assert known >= SCHEMES


@pytest.mark.parametrize("channel", ["slack://", "pagerduty://"])
async def test_an_address_that_is_not_complete_is_given_up(channel: str) -> None:
    outcome = await Chats(timeout_s=1).send(channel, letter())
    assert isinstance(outcome, NotTaken)
    assert outcome.for_good
