"""How an act of the registry can fail, in words an operator can act on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ocpi_nap.model.platform import State
from ocpi_nap.ocpi.client import HttpFailure, OcpiFailure, PeerError, TimedOut, Unreachable


class RegistryError(Exception):
    """A command on a platform that could not be done; ``state`` is the state it was left in."""

    def __init__(self, message: str, *, step: str = "", answer: str = "", advice: str = "", state: State | None = None) -> None:
        super().__init__(message)
        self.message, self.step, self.answer, self.advice, self.state = message, step, answer, advice, state

    @classmethod
    def of_peer(cls, error: PeerError, message: str, *, step: str) -> RegistryError:
        """With the peer's answer and the advice for it."""
        return cls(message, step=step, answer=error.message, advice=advice(error))

    def record(self) -> dict[str, Any]:
        """As kept in ``platform.last_error``."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"at": now, "step": self.step, "message": self.message, "answer": self.answer, "advice": self.advice}


class ChangedMeanwhile(RegistryError):
    """Somebody else changed the record since it was read."""


class AlreadyAtPeer(RegistryError):
    """They answered 405 to our POST: they regard us as registered (R82)."""


_BY_CODE = {
    3001: "They could not use our interface: check that `ocpi-nap serve` runs and that our public URL is reachable from their side.",
    3002: "They support no version that we chose: pin another one with --set version_pin=…",
    3003: "They miss an endpoint on our side: ask them which one their role expects.",
}
_BY_HTTP = {
    400: "The token may be sent in the wrong form: try --token-encoding auto.",
    401: "The token was refused: check token and encoding with the CPO; a token A works once only.",
    403: "The token was refused: check token and encoding with the CPO.",
    404: "The URL leads nowhere: check VERSIONS_URL with the CPO.",
    405: "They regard us as registered already: ask the CPO to unregister us and to give a new token A.",
    429: "They limit requests: try again later.",
}


def advice(error: PeerError | None) -> str:
    """What to do about an answer."""
    if isinstance(error, Unreachable):
        return "Check the URL and whether the CPO's server is up and open to us."
    if isinstance(error, TimedOut):
        return "Ask the CPO whether their server answers slowly, then try again."
    if isinstance(error, HttpFailure | OcpiFailure):
        known = _BY_CODE.get(error.status_code or 0) or _BY_HTTP.get(error.http_status or 0)
        if known:
            return known
    return "Show the answer to the CPO's engineers."
