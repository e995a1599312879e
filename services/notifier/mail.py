"""E-mail, through the operator's own server: a policy says whom to write to, never which server to use."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from hashlib import blake2b
from typing import Final
from urllib.parse import unquote, urlsplit

from services.notifier.letter import Letter
from services.notifier.taken import NotTaken, Outcome, Taken

PORTS: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
PERMANENT: Final = range(500, 600)


class MailServerError(ValueError):
    """The server's address cannot be read; the message says what to write."""


class Mails:
    """Writes to `mailto` channels. `server`: `smtps://user:password@host:port`, `smtp+starttls://...` or `smtp://...`."""

    def __init__(self, server: str | None, sender: str, *, timeout_s: float) -> None:
        """Raises `MailServerError`."""
        self._server = None if server is None else urlsplit(server)
        if self._server is not None and (self._server.scheme not in PORTS or not self._server.hostname):
            raise MailServerError(f"SPENDGATE_MAIL_SERVER begins with {', '.join(PORTS)}, then ://host:port")
        self._sender, self._timeout_s = sender, timeout_s

    async def send(self, channel: str, letter: Letter) -> Outcome:
        """One attempt, in a thread. The message's id follows from the idempotency key: a second copy is told apart."""
        to = unquote(channel.partition(":")[2]).lstrip("/").partition("?")[0]
        if self._server is None:
            return NotTaken("no mail server: set SPENDGATE_MAIL_SERVER")
        if to.count("@") != 1 or any(character in to for character in " ,;<>\r\n"):
            return NotTaken("not an e-mail address: write mailto:team@example.com", for_good=True)
        try:
            await asyncio.to_thread(self._deliver, to, letter)
        except smtplib.SMTPResponseException as error:
            said = f"the mail server answered {error.smtp_code}"
            return NotTaken(said, for_good=error.smtp_code in PERMANENT and error.smtp_code != 535)
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            return NotTaken(f"the mail server refuses the address: {code}", for_good=code in PERMANENT)
        except (smtplib.SMTPException, OSError) as error:
            return NotTaken(f"the mail server cannot be used: {type(error).__name__}")
        return Taken("the mail server has it")

    def _deliver(self, to: str, letter: Letter) -> None:
        assert self._server is not None, "asked before"
        host, port = self._server.hostname or "", self._server.port or PORTS[self._server.scheme]
        secure = ssl.create_default_context()
        if self._server.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=self._timeout_s, context=secure)
        else:
            server = smtplib.SMTP(host, port, timeout=self._timeout_s)
        with server:
            if self._server.scheme == "smtp+starttls":
                server.starttls(context=secure)
            if self._server.username:
                server.login(unquote(self._server.username), unquote(self._server.password or ""))
            server.send_message(self._message(to, letter))

    def _message(self, to: str, letter: Letter) -> EmailMessage:
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = letter.subject, self._sender, to
        message["Date"] = formatdate(letter.written_s)
        digest = blake2b(letter.id.encode(), digest_size=16).hexdigest()
        message["Message-ID"] = f"<{digest}@spendgate.invalid>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        message.add_alternative(letter.html, subtype="html")
        return message
