"""Message ids and routing headers (R15–R23)."""

from __future__ import annotations

import re
import uuid

import msgspec
from starlette.types import Scope

from ocpi_nap.model.platform import Party
from ocpi_nap.ocpi.versions import VERSIONS

Header = tuple[bytes, bytes]

_VISIBLE = re.compile(rb"[\x21-\x7e]{1,255}")
_WANTED = {
    b"authorization": "authorization",
    b"x-request-id": "request_id",
    b"x-correlation-id": "correlation_id",
    b"ocpi-from-country-code": "from_country",
    b"ocpi-from-party-id": "from_party",
}


class Received(msgspec.Struct):
    """The headers of a request to us that matter to the protocol."""

    authorization: str | None = None
    request_id: bytes | None = None
    correlation_id: bytes | None = None
    from_country: bytes | None = None
    from_party: bytes | None = None

    @classmethod
    def from_scope(cls, scope: Scope) -> Received:
        """Read them from an ASGI scope; values that are not visible ASCII are taken as absent (R18)."""
        found = cls()
        for name, value in scope["headers"]:
            attribute = _WANTED.get(name.lower())
            if attribute is None:
                continue
            if attribute == "authorization":
                found.authorization = value.decode("latin-1")
            elif _VISIBLE.fullmatch(value):
                setattr(found, attribute, value)
        return found


def reply_headers(received: Received, from_party: Party | None, peer: Party | None) -> list[Header]:
    """Headers of every answer: both ids repeated or made (R17, R18); routing only where ``from_party`` is given (R20, R21)."""
    reply = [
        (b"x-request-id", received.request_id or str(uuid.uuid4()).encode()),
        (b"x-correlation-id", received.correlation_id or str(uuid.uuid4()).encode()),
    ]
    if from_party is not None:
        reply += [(b"ocpi-from-country-code", from_party[0].encode()), (b"ocpi-from-party-id", from_party[1].encode())]
        country, party = peer or (None, None)
        to_country = received.from_country or (country.encode() if country else None)
        to_party = received.from_party or (party.encode() if party else None)
        if to_country and to_party:  # nobody knows whom a caller without token speaks for
            reply += [(b"ocpi-to-country-code", to_country), (b"ocpi-to-party-id", to_party)]
    return reply


def outgoing(
    version: str | None, *, functional: bool, own_party: Party, peer_party: Party, correlation_id: str | None = None
) -> dict[str, str]:
    """Headers of a request we send: fresh request id, and routing on functional modules from 2.2.1 on (R15, R16, R19, R20)."""
    sent = {"X-Request-ID": str(uuid.uuid4()), "X-Correlation-ID": correlation_id or str(uuid.uuid4())}
    if functional and version is not None and VERSIONS[version].has_roles:
        sent |= {
            "OCPI-from-country-code": own_party[0],
            "OCPI-from-party-id": own_party[1],
            "OCPI-to-country-code": peer_party[0],
            "OCPI-to-party-id": peer_party[1],
        }
    return sent
