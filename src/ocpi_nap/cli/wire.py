"""HTTP as platforms' clients write it: what the server's parser takes amiss is put right before it, garbage is told as an envelope."""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ocpi_nap.ocpi import envelope
from ocpi_nap.ocpi.errors import NotJsonBody

# Java's HTTP client offers h2c with every request on plain http. The offer may be ignored (RFC 9110 section 7.8), but the
# parser would take the body for the other protocol. Another name of the same length hides the offer from it.
_OFFER = re.compile(rb"(\r\n)upgrade(:[^\r\n]*h2c)", re.IGNORECASE)
_TARGET = re.compile(rb"[A-Z]{3,7} ([^ \r\n]*) HTTP/1\.[01]\r\n")
_PRINTABLE = bytes(range(0x21, 0x7F)).decode()


class Connection(HttpToolsProtocol):
    """One HTTP connection to us."""

    def data_received(self, data: bytes) -> None:
        """Take bytes: an offer of HTTP/2 is ignored (field lessons 2), raw bytes in a path count as percent-encoded (8)."""
        if b"h2c" in data:
            data = _OFFER.sub(rb"\1x-offer\2", data)
        target = _TARGET.match(data)
        if target is not None and not target[1].isascii():
            data = data[: target.start(1)] + quote_from_bytes(target[1], safe=_PRINTABLE).encode() + data[target.end(1) :]
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP at all: status 400 with an OCPI envelope (R27), and the end of the connection."""
        body = envelope.failure(NotJsonBody(msg))
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(head + body)
        self.transport.close()
