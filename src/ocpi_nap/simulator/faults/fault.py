"""What a fault is: small changes at the stages that an answer, or a push, goes through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from ocpi_nap.ocpi.envelope import timestamp

Json = dict[str, Any]
Kind = Literal["versions", "details", "credentials", "locations", "tariffs", "object", "other"]
ALL = ("2.1.1", "2.2.1", "2.3.0")
FROM_221 = ALL[1:]


@dataclass
class Listing:
    """The list that a page is cut from."""

    objects: list[Json]
    offset: int
    limit: int


@dataclass
class Reply:
    """One answer on its way out; faults change it."""

    request: web.Request
    base: str
    """URL of the platform."""
    counts: Counter[str]
    """Of the platform's faults, how often each struck."""
    kind: Kind = "other"
    status: int = 200
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    listing: Listing | None = None
    envelope: Json = field(default_factory=dict)
    body: bytes = b""
    content_type: str | None = "application/json"

    @property
    def is_list(self) -> bool:
        """Whether it answers a list, not one object."""
        return self.listing is not None

    def page_url(self, **query: Any) -> str:
        """The URL of this request with other query parameters."""
        return f"{self.base}{self.request.url.update_query(query).raw_path_qs}"


@dataclass
class Push:
    """One push on its way out."""

    method: str
    base: str
    """The NAP's endpoint."""
    ids: list[str]
    """Path segments: country, party, location, EVSE."""
    body: Any
    headers: dict[str, str]


class Answered(Exception):
    """A fault answers by itself."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__()
        self.response = response


class Lost(Exception):
    """The connection is dropped without an answer."""


def refusal(status: int, code: int, headers: dict[str, str] | None = None, message: str = "refused") -> web.Response:
    """An OCPI answer with an HTTP error."""
    return web.json_response({"status_code": code, "status_message": message, "timestamp": timestamp()}, status=status, headers=headers)


@dataclass(frozen=True)
class Fault:
    """A way in which a platform deviates (`reference`: a row of the interoperability list), or may differ within OCPI."""

    name: str
    reference: str
    text: str
    tolerated: bool = True
    """False: a NAP cannot register or end with all objects; it must say why."""
    settings: Json = field(default_factory=dict)
    """Settings of the platform with which ocpi-nap tolerates it."""
    versions: tuple[str, ...] = ALL
    before: Callable[[Reply], Awaitable[None] | None] | None = None
    """Ahead of the answer; may raise Answered, Lost or an OcpiError."""
    after: Callable[[Reply], Any] | None = None
    """On ``data``, ``headers`` and ``status`` of a success."""
    wire: Callable[[Reply], Any] | None = None
    """On the envelope and its bytes, of errors too; whoever sets ``body`` replaces the encoded envelope."""
    location: Callable[[Json], Any] | None = None
    """On a copy of every Location that is sent."""
    tariff: Callable[[Json], Any] | None = None
    push: Callable[[Push], Any] | None = None
    told_as: str = ""
    """What `ocpi-nap check` calls it, where that is another name."""
    needs: str = ""
    """`register`: it shows only in the exchange of credentials; `push`: only in pushes; `twice`: only in a second pull;
    `delta`: only in pulls since a date."""

    @property
    def finding(self) -> str:
        """The check of `ocpi-nap check` that shows it."""
        return self.told_as or self.name
