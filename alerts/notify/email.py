"""E-mail over SMTP, encrypted unless configured otherwise."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate
from enum import StrEnum
from hashlib import sha256
from typing import ClassVar, Literal

from pydantic import Field

from alerts.notify.addresses import Network
from alerts.notify.http import TIMEOUT_S, ForbiddenAddressError, resolve
from alerts.notify.markup import HTML, PLAIN, one_line
from alerts.notify.message import NotificationMessage
from alerts.notify.outcome import Delivered, DeliveryFailure, Failed, Outcome
from alerts.notify.receiver import ReceiverConfig
from alerts.notify.secret import Secret

MAX_BYTES = 100_000


class Encryption(StrEnum):
    """Encryption of the SMTP connection."""

    STARTTLS = "starttls"
    """STARTTLS, which the server must offer."""
    TLS = "tls"
    """TLS from the first byte, on its own port."""
    NONE = "none"
    """Unencrypted; the password is not sent."""


class EmailConfig(ReceiverConfig):
    """A mail server and recipients."""

    RATE: ClassVar[int] = 30

    type: Literal["email"]
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(587, ge=1, le=65535)
    encryption: Encryption = Encryption.STARTTLS
    user: str = ""
    password: Secret | None = None
    sender: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")
    to: tuple[str, ...] = Field(min_length=1)


class Email:
    """Sends through one mail server."""

    def __init__(
        self,
        config: EmailConfig,
        allowed: Sequence[Network] = (),
        *,
        timeout_s: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config = config
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._tls = tls

    async def send(self, message: NotificationMessage) -> Outcome:
        """Send the e-mail."""
        host = self._config.host
        try:
            addresses = await resolve(host, self._config.port, self._allowed)
            await asyncio.to_thread(self._hand_over, mail(message, self._config), addresses[0][1])
        except ForbiddenAddressError as error:
            return Failed(DeliveryFailure.FORBIDDEN_ADDRESS, str(error))
        except smtplib.SMTPResponseException as error:
            fault = DeliveryFailure.SERVER_ERROR if 400 <= error.smtp_code < 500 else DeliveryFailure.REFUSED
            return Failed(fault, f"{host} answered {error.smtp_code}")
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            later = any(400 <= code < 500 for code in codes)
            return Failed(
                DeliveryFailure.SERVER_ERROR if later else DeliveryFailure.REFUSED,
                f"{host} takes none of the recipients",
            )
        except smtplib.SMTPNotSupportedError:
            return Failed(DeliveryFailure.REFUSED, f"{host} does not offer encryption or login as set")
        except TimeoutError:
            return Failed(DeliveryFailure.TIMEOUT, f"{host} did not answer in {self._timeout_s:g} s")
        except (smtplib.SMTPException, OSError) as error:
            return Failed(DeliveryFailure.UNREACHABLE, f"{host} cannot be reached ({type(error).__name__})")
        return Delivered()

    def _hand_over(self, email: EmailMessage, address: str) -> None:
        config = self._config
        tls = self._tls or ssl.create_default_context()
        if config.encryption is Encryption.TLS:
            server: smtplib.SMTP = _SmtpOverTls(address, config.host, config.port, self._timeout_s, tls)
        else:
            server = _Smtp(address, config.host, config.port, self._timeout_s)
        with server:
            if config.encryption is Encryption.STARTTLS:
                server.starttls(context=tls)
            if config.user and config.password is not None and config.encryption is not Encryption.NONE:
                server.login(config.user, config.password.get_secret_value())
            server.send_message(email)


def mail(message: NotificationMessage, config: EmailConfig) -> EmailMessage:
    """The e-mail as plain text and HTML. Its id is the message's, so that clients detect a repeat."""
    email = EmailMessage()
    email["Subject"] = one_line(message.title)[:200]
    email["From"] = config.sender
    email["To"] = ", ".join(config.to)
    email["Date"] = formatdate(message.now_ms / 1000)
    id_digest = sha256(message.id.encode()).hexdigest()[:24]
    email["Message-ID"] = f"<{id_digest}@{config.sender.rpartition('@')[2]}>"
    email["Auto-Submitted"] = "auto-generated"
    email.set_content(message.body(PLAIN, MAX_BYTES))
    email.add_alternative(f"<p>{message.body(HTML, MAX_BYTES, newline='<br>')}</p>", subtype="html")
    return email


class _Smtp(smtplib.SMTP):
    """Connects to the checked address; certificates are verified against the host name."""

    def __init__(self, address: str, host: str, port: int, timeout_s: float) -> None:
        self._address = address
        super().__init__(host, port, timeout=timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((self._address, port), timeout)


class _SmtpOverTls(smtplib.SMTP_SSL):
    """Like `_Smtp`, over TLS from the first byte."""

    def __init__(self, address: str, host: str, port: int, timeout_s: float, tls: ssl.SSLContext) -> None:
        self._address = address
        super().__init__(host, port, timeout=timeout_s, context=tls)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self.context.wrap_socket(socket.create_connection((self._address, port), timeout), server_hostname=host)
