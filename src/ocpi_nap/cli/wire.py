"""HTTP below the application: what cannot be parsed is answered with an OCPI envelope too (R27), heads are bounded in size and requests in
time (R200), and what Java's HTTP clients do by default is understood: an offer to upgrade to h2c, and unescaped UTF-8 in a path (field
lessons 2, 8)."""

from __future__ import annotations

import asyncio
import http
import re
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ocpi_nap.ocpi import envelope, headers
from ocpi_nap.ocpi.errors import BadRequest, HeadTooLarge, OcpiError, TooSlow

LARGEST_HEAD = 64 * 1024
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_MOST_FORMS = 4
"""How often one request is put into a form that the parser takes."""
TICK = 10.0
"""Seconds between two looks at a connection; the limits below count them."""
HEAD_TICKS, QUIET_TICKS, REQUEST_TICKS = 3, 6, 30
"""Until the head has arrived, without a byte of it, and until all of a request has: 10 MiB at 35 kB a second."""
_OF_UPGRADE = frozenset((b"upgrade", b"connection", b"http2-settings"))


class EnvelopingProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, with our answer to what it cannot read."""

    _head = 0
    _upgrading = False
    _forms = 0
    _reading = _in_head = True
    """A request is on its way; the first is awaited from the beginning."""
    _begun = False
    _answering: Any = None
    """What answers the request whose turn it is."""
    _before: Any = None
    """What answers the request before this one."""
    _ticks = _quiet = 0
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch = self.loop.call_later(TICK, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_watch()
        super().connection_lost(exc)
        if self._answering is not None:  # the server tells only the last of several requests in one breath
            self._answering.disconnected = True
            self._answering.message_event.set()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def handle_websocket_upgrade(self) -> None:
        self._end_watch()
        super().handle_websocket_upgrade()

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self) -> None:
        """End a connection on which a request comes too slowly; the time between two requests is the server's own to limit."""
        if self.transport.is_closing():
            return
        if self._reading and not self.flow.read_paused:
            self._ticks += 1
            self._quiet += 1
            if self._quiet >= QUIET_TICKS or self._ticks >= (HEAD_TICKS if self._in_head else REQUEST_TICKS):
                if self._begun:
                    self._refuse(TooSlow("the request does not arrive"))
                else:
                    self.transport.close()
                return
        self._watch = self.loop.call_later(TICK, self._look)

    def data_received(self, data: bytes) -> None:
        self._quiet = 0
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif self.parser.get_method() == b"CONNECT":
                self._refuse(BadRequest("this is no proxy"))
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
        if self._forms >= _MOST_FORMS:
            self._refuse()
            return
        self._forms += 1
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
        self._reading = self._in_head = self._begun = True
        self._ticks = 0

    def on_url(self, url: bytes) -> None:
        self._measure(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._measure(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._upgrading = self.parser.should_upgrade() and not self._should_upgrade()
        if not self._upgrading:
            self._before = self.cycle
            super().on_headers_complete()
            self._in_head = False

    def on_message_complete(self) -> None:
        if not self._upgrading:
            self._reading, self._forms = False, 0
            super().on_message_complete()

    def _measure(self, size: int) -> None:
        self._head += size
        if self._head > LARGEST_HEAD:
            raise ValueError  # becomes a parser's error

    def _refuse(self, error: OcpiError | None = None) -> None:
        """Answer what is no request and end the connection; the requests before it are answered first, as they are owed."""
        if error is None:
            error = BadRequest("this is not valid HTTP")
            if self._head > LARGEST_HEAD:
                error = HeadTooLarge(f"the request's head is larger than {LARGEST_HEAD} bytes")
        if self._reading and not self._in_head:
            if self.pipeline:
                self.pipeline.popleft()
                self._before.keep_alive = False
                return
            if self.cycle.response_started:
                self.transport.close()
                return
        elif self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            return
        body = envelope.failure(error)
        received = headers.Received.from_scope({"headers": self.headers or []})
        fields = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        lines = [f"HTTP/1.1 {error.http_status} {http.HTTPStatus(error.http_status).phrase}".encode()]
        lines += [name + b": " + value for name, value in (*fields, *headers.reply_headers(received, None, None))]
        self.transport.write(b"\r\n".join((*lines, b"", body)))
        self.transport.close()
