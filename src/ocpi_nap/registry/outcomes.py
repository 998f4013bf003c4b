"""How an act of the registry can fail, in words an operator can act on."""

from __future__ import annotations

from typing import Any

from ocpi_nap.model.platform import State
from ocpi_nap.ocpi import envelope
from ocpi_nap.ocpi.client import HttpFailure, OcpiFailure, PeerError, RefusedUrl, TimedOut, Unreachable


class RegistryError(Exception):
    """A command on a platform that could not be done; ``state`` is the state it was left in."""

    def __init__(
        self, message: str, *, step: str = "", answer: str = "", advice: str = "", state: State | None = None,
        http_status: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.message, self.step, self.answer, self.advice = message, step, answer, advice
        self.state, self.http_status = state, http_status

    @classmethod
    def of_peer(cls, error: PeerError, message: str, *, step: str) -> RegistryError:
        """With the peer's answer and the advice for it."""
        return cls(message, step=step, answer=error.message, advice=advice(error), http_status=error.http_status)

    def details(self) -> dict[str, Any]:
        """What the platform's events tell besides the message."""
        return {"answer": self.answer, "advice": self.advice}

    def record(self) -> dict[str, Any]:
        """As kept in ``platform.last_error``."""
        return {"at": envelope.timestamp(), "step": self.step, "message": self.message, "answer": self.answer, "advice": self.advice}


class FieldsWrong(RegistryError):
    """A record that cannot be kept; ``problems`` has a sentence for each field that is wrong, the message is the first of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems[0])
        self.problems = problems


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


_BY_STEP = {
    "choose": "Ask the CPO for one of our versions; for a platform that lists 2.2 only: `platform change --set treat_2_2_as_2_2_1=true`.",
    "endpoints": "Ask the CPO to list this endpoint, as Sender, in their version details.",
}


def advice(error: PeerError | None, step: str = "") -> str:
    """What to do about an answer."""
    if step in _BY_STEP:
        return _BY_STEP[step]
    if isinstance(error, RefusedUrl):
        return "If that host is the platform's too: `platform change --set allowed_hosts=…` lets it have the token."
    if isinstance(error, Unreachable):
        return "Check the URL and whether the CPO's server is up and open to us."
    if isinstance(error, TimedOut):
        return "Ask the CPO whether their server answers slowly, then try again."
    if isinstance(error, HttpFailure | OcpiFailure):
        known = _BY_CODE.get(error.status_code or 0) or _BY_HTTP.get(error.http_status or 0)
        if known:
            return known
    return "Show the answer to the CPO's engineers."


def interrupted(what: str, name: str, answer: str = "", *, sent: bool = True) -> RegistryError:
    """What is known of an exchange (``what``) that has no known end, because our process or the connection ended first."""
    command, retry = {
        "registration": ("register", "If they refuse token A or answer 405, ask the CPO to unregister us and to give a new one."),
        "new registration": ("register", "Add --force. Until then the tokens of before are used, and both tokens B are accepted."),
        "rotation": ("rotate", "Until then the old token C is used, and both tokens B are accepted."),
        "end": ("unregister", "Whatever they answer, it ends the registration on our side."),
    }[what]
    if not sent:
        return RegistryError(f"The registration with {name} was interrupted before our credentials were sent.", step="interrupted",
                             advice=f"Run `ocpi-nap platform register {name}` again.")  # fmt: skip
    message = f"Nobody knows whether {name} took the {what}: its answer is not known."
    return RegistryError(message, step="interrupted", answer=answer, state="unknown",
                         advice=f"Run `ocpi-nap platform {command} {name}` again. {retry}")  # fmt: skip


NEXT: dict[State, str] = {
    "unregistered": "Next: `ocpi-nap platform register {0}`, or `ocpi-nap platform issue-token {0}` for a CPO that starts it.",
    "registering": "A registration is under way.",
    "registered": "",
    "registered-unverified": "Token C is not proven yet: the next pull that works proves it.",
    "unknown": "Run `ocpi-nap platform register {0}` again.",
    "failed": "Run `ocpi-nap platform register {0}` again when the cause is mended.",
    "lost": "They regard us as not registered: `ocpi-nap platform register {0} --token …` with a new token A.",
    "unregistered-by-peer": "They ended the registration: `ocpi-nap platform register {0} --token …` with a new token A begins another.",
}
"""What an operator does in a state, where no error says more; ``{0}`` is the platform's name."""


def left(name: str) -> RegistryError:
    """They ended the registration while we were in a handshake with them: that counts (R106)."""
    state: State = "unregistered-by-peer"
    return RegistryError(f"{name} ended the registration meanwhile.", step="unregistered", advice=NEXT[state].format(name), state=state)
