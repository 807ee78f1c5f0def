"""Tells a mailbox: one e-mail over SMTP, to a server whose address was checked."""

from __future__ import annotations

import asyncio
import socket
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

import aiosmtplib

from actors.notices.guard import AddressGuard
from actors.notices.sending import RefusedForGoodError, TryAgainError
from controllers.alarms.channels import MailEndpoint, MailSecurity
from controllers.kernel.timebase import Clock

ATTEMPT_DEADLINE_S = 4.0
_OUR_NAME = "parkgrid"
_PERMANENT = 500


async def send(
    endpoint: MailEndpoint,
    secret: str | None,
    subject: str,
    text: str,
    *,
    guard: AddressGuard,
    clock: Clock,
) -> str:
    """Send one e-mail; return what to note of it.

    Raises:
        TryAgainError: it may work later.
        RefusedForGoodError: it will not.
        DomainError: the server must not be connected to.
        UnresolvedError: it has no address now.
    """
    encrypted = endpoint.security is not MailSecurity.NONE
    address = await guard.address_of(
        endpoint.host, endpoint.port, encrypted=encrypted, field="host"
    )
    message = EmailMessage()
    message["From"] = endpoint.sender
    message["To"] = ", ".join(endpoint.recipients)
    message["Subject"] = subject
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = make_msgid(domain=endpoint.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    login = encrypted and endpoint.username is not None and secret is not None
    try:
        async with asyncio.timeout(ATTEMPT_DEADLINE_S):
            refused, _ = await aiosmtplib.send(
                message,
                hostname=endpoint.host,
                sock=await _connected(address, endpoint.port),
                local_hostname=_OUR_NAME,
                username=endpoint.username if login else None,
                password=secret if login else None,
                use_tls=endpoint.security is MailSecurity.TLS,
                start_tls=endpoint.security is MailSecurity.STARTTLS,
                timeout=ATTEMPT_DEADLINE_S,
            )
    except aiosmtplib.SMTPAuthenticationError as error:
        raise RefusedForGoodError(f"smtp {error.code}: log-in refused") from error
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _failed(min(recipient.code for recipient in error.recipients)) from error
    except aiosmtplib.SMTPResponseException as error:
        raise _failed(error.code) from error
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        raise TryAgainError(type(error).__name__) from error
    return f"smtp 250, {len(refused)} of {len(endpoint.recipients)} recipients refused"


def _failed(code: int) -> TryAgainError | RefusedForGoodError:
    kind = RefusedForGoodError if code >= _PERMANENT else TryAgainError
    return kind(f"smtp {code}")


async def _connected(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection
