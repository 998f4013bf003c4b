"""Every way a request can be refused: HTTP status and OCPI status code in one table (requirements 1.3, 1.4; D7)."""

from __future__ import annotations

from collections.abc import Sequence

from ocpi_nap.model.issues import Issue


class OcpiError(Exception):
    """A refusal, turned into an envelope in one place; ``errors`` become ``data.errors``."""

    http_status = 500
    status_code = 3000

    def __init__(self, message: str, *, errors: Sequence[Issue] = (), headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message[:255]
        self.errors = list(errors)
        self.headers = headers or {}


class NotAuthenticated(OcpiError):
    """No token, or one that opens nothing here (R7)."""

    http_status, status_code = 401, 2000

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Token"})


class BadRequest(OcpiError):
    """Not HTTP (R27)."""

    http_status, status_code = 400, 2000


class TooSlow(OcpiError):
    """A request that does not arrive (R200)."""

    http_status, status_code = 408, 2000


class HeadTooLarge(OcpiError):
    """URL and headers are over the limit (R200)."""

    http_status, status_code = 431, 2000


class NotFound(OcpiError):
    """No such path, party or object (R34, R35, R139)."""

    http_status, status_code = 404, 2000


class UnknownLocation(OcpiError):
    """The Location, EVSE or Connector, or its parent, is not held (D6, R34)."""

    http_status, status_code = 404, 2003


class MethodNotAllowed(OcpiError):
    """The module does not have this method (R37)."""

    http_status, status_code = 405, 2000

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message, headers={"Allow": allow})


class NotJsonBody(OcpiError):
    """The body is not JSON (R32)."""

    http_status, status_code = 400, 2001


class BodyTooLarge(OcpiError):
    """The body is over the limit (R38)."""

    http_status, status_code = 413, 2001

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"Connection": "close"})


class Invalid(OcpiError):
    """Semantically wrong: HTTP 200 with 2001 (R33, D7)."""

    http_status, status_code = 200, 2001


class TooLittle(OcpiError):
    """A credentials object without token, url or roles (R92)."""

    http_status, status_code = 200, 2002


class CannotUsePeer(OcpiError):
    """Their versions or details could not be read with the token they gave (R90)."""

    http_status, status_code = 200, 3001


class NoMutualVersion(OcpiError):
    """Their versions lack the one they posted to (R89)."""

    http_status, status_code = 200, 3002


class UnsupportedVersion(OcpiError):
    """A version we do not offer (R64)."""

    http_status, status_code = 404, 3002


class MissingEndpoint(OcpiError):
    """Their details lack an endpoint we need (R91)."""

    http_status, status_code = 200, 3003


class TooManyRequests(OcpiError):
    """Over the platform's inbound limit (R197)."""

    http_status, status_code = 429, 2000

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)})


class Internal(OcpiError):
    """Our fault (R39)."""


class HandshakeUnderWay(OcpiError):
    """Credentials while we are exchanging ours with the same platform: two handshakes that cross would leave each side with other tokens
    (R100)."""

    http_status, status_code = 200, 3000


class Unavailable(OcpiError):
    """The database does not answer (R39)."""

    http_status = 503

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)})
