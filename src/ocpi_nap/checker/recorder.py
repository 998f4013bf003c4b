"""What went over the wire, kept in a form that can be judged and shown: facts about each answer, texts shortened, no big bodies."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from ocpi_nap.model import jsontext
from ocpi_nap.ocpi.client import Exchange

_KEPT_TEXT = 6000
_SHOWN_TEXT = 1500
_DECODED = 2_000_000
_DECODED_LIST = 20_000
"""Data up to this size is decoded; of longer lists only the ids are read."""
HIDDEN = "‹hidden›"
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Marks that turn the direction of what follows, and so can make a report say something else."""
_TOKEN_MEMBER = re.compile(r'("token"\s*:\s*")[^"]*')

Key = tuple[str, str, str]
"""(country_code, party_id, id) of an object in a list; the first two are empty in 2.1.1."""


class _Body(msgspec.Struct):
    status_code: Any = None
    status_message: Any = None
    timestamp: Any = None
    data: msgspec.Raw = msgspec.Raw(b"")


class _Id(msgspec.Struct):
    country_code: Any = ""
    party_id: Any = ""
    id: Any = None


_body = msgspec.json.Decoder(_Body)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_id = msgspec.json.Decoder(_Id)


@dataclass(slots=True)
class Reading:
    """What a body is."""

    form: Literal["empty", "json", "truncated", "not-json"] = "empty"
    byte_order_mark: bool = False
    envelope: bool = False
    """It is an object with a status_code."""
    code: Any = None
    """status_code as it came."""
    timestamp: Any = None
    has_data: bool = False
    data: Any = None
    """Decoded, unless it is a list of objects or large."""
    objects: list[tuple[Key | None, bytes]] | None = None
    """Of a list: each entry's ids (None where it is no object with an id), and a digest of its text."""

    @property
    def has_entries(self) -> bool:
        """Whether data is more than an empty list."""
        return self.has_data and self.objects != []

    @property
    def status_code(self) -> int | None:
        """As a number, also where it came as text."""
        if isinstance(self.code, int) and not isinstance(self.code, bool):
            return self.code
        return int(self.code) if isinstance(self.code, str) and self.code.isascii() and self.code.strip().isdigit() else None


def read(body: bytes) -> Reading:
    """The facts about a body; never raises."""
    if not body.strip():
        return Reading()
    mark = body.startswith(b"\xef\xbb\xbf")
    plain = body.removeprefix(b"\xef\xbb\xbf")
    found = Reading("json", mark)
    try:
        envelope = _body.decode(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _read_otherwise(plain, mark, str(error))
    found.code, found.timestamp = envelope.status_code, envelope.timestamp
    found.envelope = envelope.status_code is not None
    data = bytes(envelope.data)
    found.has_data = data not in (b"", b"null")
    if data.lstrip().startswith(b"["):
        found.objects = _objects(data)
    if found.has_data and len(data) <= (_DECODED if found.objects is None else _DECODED_LIST):
        try:
            found.data = jsontext.parse(data)
        except jsontext.NotJson:
            found.form = "not-json"
    return found


def _read_otherwise(plain: bytes, mark: bool, problem: str) -> Reading:
    """Bodies that are no object, or that the fast decoder refuses."""
    try:
        value = jsontext.parse(plain)
    except jsontext.NotJson:
        return Reading("truncated" if "truncated" in problem else "not-json", mark)
    if not isinstance(value, dict):
        return Reading("json", mark)
    data = value.get("data")
    found = Reading("json", mark, "status_code" in value, value.get("status_code"), value.get("timestamp"), data is not None, data)
    if isinstance(data, list):
        found.objects = _objects(jsontext.dump(data))
    return found


def _objects(data: bytes) -> list[tuple[Key | None, bytes]]:
    try:
        return [(_key(item), blake2b(item, digest_size=16).digest()) for item in map(bytes, _list.decode(data))]
    except (msgspec.MsgspecError, RecursionError):
        return []


def _key(item: bytes) -> Key | None:
    try:
        found = _id.decode(item)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(found.id, str | int) or found.id in ("", True, False):
        return None
    return (str(found.country_code), str(found.party_id), str(found.id))


@dataclass(slots=True)
class Seen:
    """One request to the platform and its answer."""

    number: int
    method: str
    url: str
    sent: dict[str, str]
    sent_body: str
    status: int | None
    """None: no answer; ``error`` says why."""
    headers: list[tuple[str, str]]
    text: str
    """The beginning of the body."""
    size: int
    seconds: float
    error: str
    reading: Reading
    attempts: int = 1

    def header(self, name: str) -> str | None:
        """A header of the answer."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def all_headers(self, name: str) -> list[str]:
        """All values of a header of the answer."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    @property
    def path(self) -> str:
        """Of the URL."""
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the URL, of each the first value."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query, keep_blank_values=True).items()}

    @property
    def succeeded(self) -> bool:
        """R31: HTTP 2xx and an OCPI code 1xxx."""
        code = self.reading.status_code
        return self.status is not None and 200 <= self.status < 300 and code is not None and 1000 <= code <= 1999 and not self.error

    @property
    def outcome(self) -> str:
        """In a few words."""
        if self.status is None:
            return self.error
        code = self.reading.code
        return f"HTTP {self.status}" + (f", OCPI {code}" if code is not None else "") + (f" ({self.error})" if self.error else "")


@dataclass
class Recorder:
    """Takes every exchange of the client, in order."""

    seen: list[Seen] = field(default_factory=list)

    def __call__(self, exchange: Exchange) -> None:
        headers = [(str(name), str(value)) for name, value in exchange.headers.items()] if exchange.headers is not None else []
        sent_body = (exchange.sent_body or b"")[:_KEPT_TEXT].decode("utf-8", "replace")
        text = exchange.body[:_KEPT_TEXT].decode("utf-8", "replace")
        self.seen.append(Seen(len(self.seen) + 1, exchange.method, exchange.url, dict(exchange.sent), sent_body, exchange.status, headers,
                              text, len(exchange.body), exchange.seconds, exchange.error, read(exchange.body),
                              exchange.attempts))  # fmt: skip

    def mark(self) -> int:
        """To ask `since` for what comes from now on."""
        return len(self.seen)

    def since(self, mark: int) -> list[Seen]:
        """What came after a mark."""
        return self.seen[mark:]

    def last(self) -> Seen | None:
        """The newest exchange."""
        return self.seen[-1] if self.seen else None


class Mask:
    """Takes secrets out of texts, in every form in which they may come."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, secret: str | None) -> None:
        """A token or key that must not be shown."""
        if secret is not None and len(secret) >= 4:
            encoded = base64.b64encode(secret.encode("utf-8", "surrogatepass")).decode()
            self._secrets |= {secret, encoded, encoded.rstrip("="), quote(secret, safe="")}

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return _TOKEN_MEMBER.sub(rf"\g<1>{HIDDEN}", _DIRECTIONS.sub("", text))

    def all(self, value: Any) -> Any:
        """The same structure with masked texts, free of control characters."""
        if isinstance(value, str):
            return jsontext.clean_text(self.text(value))
        if isinstance(value, list):
            return [self.all(item) for item in value]
        if isinstance(value, dict):
            return {name: self.all(item) for name, item in value.items()}
        return value

    def exchange(self, seen: Seen, extra: set[str]) -> dict[str, Any]:
        """An exchange to show; ``extra``: lower-case names of further headers that are secret."""
        secret = {"authorization", *extra}
        sent = {name: HIDDEN if name.lower() in secret else value for name, value in seen.sent.items()}
        sent |= {name: f"Token {HIDDEN}" for name in sent if name.lower() == "authorization"}
        return {
            "number": seen.number, "method": seen.method, "url": self.text(seen.url), "request_headers": self.all(sent),
            "request_body": self.short(seen.sent_body), "status": seen.status, "error": self.text(seen.error),
            "headers": [[self.text(name), self.text(value)[:500]] for name, value in seen.headers if name.lower() != "set-cookie"],
            "body": self.short(seen.text, seen.size), "size": seen.size, "seconds": round(seen.seconds, 3),
        }  # fmt: skip

    def short(self, text: str, size: int = 0) -> str:
        """Masked first, then shortened, so that no part of a secret is left."""
        masked = jsontext.clean_text(self.text(text))
        return masked if len(masked) <= _SHOWN_TEXT and size <= _KEPT_TEXT else masked[:_SHOWN_TEXT] + " …"
