"""Mail: through a mail server, or a line in the log while there is none."""

from __future__ import annotations

import logging
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Protocol

from facecraft.accounts.config import AccountConfig, SmtpSecurity
from facecraft.errors import MailError

_SECONDS = 20.0
log = logging.getLogger("facecraft.accounts")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person."""

    to: str
    subject: str
    text: str = field(repr=False)


class Mailer(Protocol):
    """Sends mail."""

    def send(self, mail: Mail) -> None:
        """Send one mail. Raises MailError."""
        ...


class SmtpMailer:
    """Hands mail to a mail server (RFC 5321), one connection for each."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        sender: str,
        security: SmtpSecurity = SmtpSecurity.STARTTLS,
        user: str | None = None,
        password: str = "",
        context: ssl.SSLContext | None = None,
    ) -> None:
        """``context`` says which certificates are trusted; None: those of this machine."""
        self._host = host
        self._port = port
        self._sender = sender
        self._security = security
        self._user = user
        self._password = password
        self._context = context

    def send(self, mail: Mail) -> None:
        """Send one mail. Raises MailError."""
        message = EmailMessage()
        try:
            message["From"], message["To"], message["Subject"] = self._sender, mail.to, mail.subject
            message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=self._sender.rpartition("@")[2])
            message.set_content(mail.text)
            with self._connect() as server:
                if self._user is not None:
                    server.login(self._user, self._password)
                server.send_message(message)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise MailError(detail=f"{type(error).__name__}: {error}") from error

    def _connect(self) -> smtplib.SMTP:
        context = self._context or ssl.create_default_context()
        if self._security is SmtpSecurity.TLS:
            return smtplib.SMTP_SSL(self._host, self._port, timeout=_SECONDS, context=context)
        server = smtplib.SMTP(self._host, self._port, timeout=_SECONDS)
        if self._security is SmtpSecurity.STARTTLS:
            try:
                server.starttls(context=context)
            except (smtplib.SMTPException, OSError):
                server.close()
                raise
        return server


class ConsoleMailer:
    """Writes to the log that there was a mail, for machines without a mail server."""

    def __init__(self, *, shown: bool = False) -> None:
        """``shown``: write all that is in it, too. It may be a way into an account: for development only."""
        self._shown = shown

    def send(self, mail: Mail) -> None:
        """Write to the log that ``mail`` was not sent."""
        if self._shown:
            log.warning("no mail server (FACECRAFT_SMTP_HOST); mail to %s: %s\n%s", mail.to, mail.subject, mail.text)
        else:
            log.warning(
                "A MAIL WAS NOT SENT: no mail server is set up (FACECRAFT_SMTP_HOST). With FACECRAFT_DEBUG it is "
                "written here instead."
            )


def mailer_of(config: AccountConfig, *, debug: bool = False) -> Mailer:
    """Return the mailer that the settings ask for; only with ``debug`` is mail that cannot be sent shown in the log."""
    if config.smtp_host is None:
        return ConsoleMailer(shown=debug)
    return SmtpMailer(
        config.smtp_host,
        config.smtp_port,
        sender=config.mail_from,
        security=config.smtp_security,
        user=config.smtp_user,
        password=config.smtp_password.get_secret_value() if config.smtp_password else "",
    )
