"""Mail over a real mail server of this machine, and into the log."""

from __future__ import annotations

import datetime as dt
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from facecraft.accounts.config import AccountConfig, SmtpSecurity
from facecraft.accounts.mail import ConsoleMailer, Mail, SmtpMailer, mailer_of
from facecraft.errors import MailError

MAIL = Mail("ann@example.org", "A new password", "Grüße: token-123\n")


class Inbox:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.encrypted: list[bool] = []

    async def handle_DATA(self, _: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - the name that the server calls
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append((envelope.rcpt_tos, message))
        self.encrypted.append(session.ssl is not None)
        return "250 OK"


@contextmanager
def mail_server(inbox: Inbox, **options: Any) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = Controller(inbox, hostname="127.0.0.1", port=port, **options)
    server.start()
    try:
        yield port
    finally:
        server.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key for this machine."""
    x509 = pytest.importorskip("cryptography.x509", reason="pip install cryptography")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    moment = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(moment).not_valid_after(moment + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_mail_arrives() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        mailer = SmtpMailer("127.0.0.1", port, sender="face@example.org", security=SmtpSecurity.NONE)
        mailer.send(MAIL)
    (to, message), = inbox.mails  # fmt: skip
    assert to == ["ann@example.org"]
    assert (message["From"], message["To"], message["Subject"]) == ("face@example.org", "ann@example.org", MAIL.subject)
    assert message["Message-ID"].endswith("@example.org>")
    assert message.get_content().splitlines() == ["Grüße: token-123"]


def test_mail_is_encrypted_and_signed_in(certificate: Path) -> None:
    inbox, asked = Inbox(), []

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        asked.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with mail_server(
        inbox, tls_context=context, require_starttls=True, auth_required=True, authenticator=check
    ) as port:
        make = {"host": "localhost", "port": port, "sender": "face@example.org", "user": "me"}
        SmtpMailer(**make, password="right", context=trusting).send(MAIL)
        assert inbox.encrypted == [True]
        with pytest.raises(MailError):
            SmtpMailer(**make, password="wrong", context=trusting).send(MAIL)
        with pytest.raises(MailError):  # a certificate that nobody vouches for
            SmtpMailer(**make, password="right").send(MAIL)
        with pytest.raises(MailError):  # nothing is sent in the clear to a server that wants none of it
            SmtpMailer(**make, password="right", security=SmtpSecurity.NONE).send(MAIL)
    assert asked[0] == (b"me", b"right")
    assert set(asked[1:]) == {(b"me", b"wrong")}  # by several mechanisms
    assert len(inbox.mails) == 1


def test_without_starttls_nothing_is_sent() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port, pytest.raises(MailError):
        SmtpMailer("127.0.0.1", port, sender="face@example.org").send(MAIL)
    assert inbox.mails == []


def test_a_server_that_is_away_is_an_error_of_ours() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(MailError) as failed:
        SmtpMailer("127.0.0.1", port, sender="face@example.org", security=SmtpSecurity.NONE).send(MAIL)
    assert "token-123" not in f"{failed.value} {failed.value.detail}"


def test_headers_cannot_be_added() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        mailer = SmtpMailer("127.0.0.1", port, sender="face@example.org", security=SmtpSecurity.NONE)
        with pytest.raises(MailError):
            mailer.send(Mail("ann@example.org\nBcc: all@example.org", "x", "y"))
    assert inbox.mails == []


@pytest.mark.parametrize("debug", [False, True])
def test_without_a_server_the_log_says_so_and_shows_the_mail_to_developers_only(
    caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    mailer = mailer_of(AccountConfig(), debug=debug)
    assert isinstance(mailer, ConsoleMailer)
    with caplog.at_level(logging.DEBUG, "facecraft.accounts"):
        mailer.send(MAIL)
    assert ("token-123" in caplog.text) is debug
    assert "FACECRAFT_SMTP_HOST" in caplog.text
    assert isinstance(mailer_of(AccountConfig(smtp_host="localhost")), SmtpMailer)
