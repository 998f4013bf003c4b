"""The OCPI response body: status code, message, data, timestamp (R27–R29)."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from ocpi_nap.model import jsontext
from ocpi_nap.ocpi.errors import OcpiError

ABSENT: Any = object()
"""No ``data`` member at all: successful PUT, PATCH and DELETE (R29)."""

_encode = msgspec.json.Encoder().encode


def timestamp() -> str:
    """Now, as ``2026-01-31T12:00:00Z`` (R28)."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _close(head: bytes) -> bytes:
    return head + b',"timestamp":"' + timestamp().encode() + b'"}'


def success(data: Any = ABSENT, message: str | None = None, status_code: int = 1000) -> bytes:
    """A success envelope; numbers in ``data`` keep their exact text."""
    head = b'{"status_code":%d' % status_code
    if message is not None:
        head += b',"status_message":' + _encode(message)
    if data is not ABSENT:
        head += b',"data":' + jsontext.dump(data)
    return _close(head)


def success_raw(data: bytes) -> bytes:
    """A success envelope around JSON that is already encoded."""
    return _close(b'{"status_code":1000,"data":' + data)


def failure(error: OcpiError) -> bytes:
    """The envelope of a refusal, with the single errors as ``data.errors`` (interop, error message style)."""
    head = b'{"status_code":%d,"status_message":' % error.status_code + _encode(error.message)
    if error.errors:
        details = [{"path": i.path, "rule": i.rule, "message": i.text()} for i in error.errors[:50]]
        head += b',"data":' + _encode({"errors": details})
    return _close(head)
