"""HTTP below the application: what cannot be parsed is answered with an OCPI envelope too (R27), heads are bounded (R200), and what
Java's HTTP clients do by default is understood: an offer to upgrade to h2c, and unescaped UTF-8 in a path (field lessons 2, 8)."""

from __future__ import annotations

import http
import re

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ocpi_nap.ocpi import envelope, headers
from ocpi_nap.ocpi.errors import BadRequest, HeadTooLarge, OcpiError

LARGEST_HEAD = 64 * 1024
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_OF_UPGRADE = frozenset((b"upgrade", b"connection", b"http2-settings"))


class EnvelopingProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, with our answer to what it cannot read."""

    _head = 0
    _upgrading = False

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._again(self._without_upgrade() + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            line, end, rest = data.partition(b"\r\n")
            if not line.isascii() and self._head == 0:
                self._again(_NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], line) + end + rest)
            else:
                self._refuse()

    def _again(self, data: bytes) -> None:
        """Parse the request in a form that the parser takes."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(data)

    def _without_upgrade(self) -> bytes:
        """The head again, without the offer: taken as one, it would end HTTP before the body."""
        kept = [name + b": " + value + b"\r\n" for name, value in self.headers if name not in _OF_UPGRADE]
        return b"".join((self.parser.get_method(), b" ", self.url, b" HTTP/1.1\r\n", *kept, b"\r\n"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head, self._upgrading = 0, False

    def on_url(self, url: bytes) -> None:
        self._measure(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._measure(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._upgrading = self.parser.should_upgrade() and not self._should_upgrade()
        if not self._upgrading:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._upgrading:
            super().on_message_complete()

    def _measure(self, size: int) -> None:
        self._head += size
        if self._head > LARGEST_HEAD:
            raise ValueError  # becomes a parser's error

    def _refuse(self) -> None:
        error: OcpiError = BadRequest("this is not valid HTTP")
        if self._head > LARGEST_HEAD:
            error = HeadTooLarge(f"the request's head is larger than {LARGEST_HEAD} bytes")
        body = envelope.failure(error)
        received = headers.Received.from_scope({"headers": self.headers or []})
        fields = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        lines = [f"HTTP/1.1 {error.http_status} {http.HTTPStatus(error.http_status).phrase}".encode()]
        lines += [name + b": " + value for name, value in (*fields, *headers.reply_headers(received, None, None))]
        self.transport.write(b"\r\n".join((*lines, b"", body)))
        self.transport.close()
