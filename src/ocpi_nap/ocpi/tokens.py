"""Credentials tokens in the Authorization header: made, sent and read (R1–R11, D1, D2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets

_SCHEME = re.compile(r"token +", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"(bearer|basic|digest|negotiate)( |$)", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_LONGEST = 1024


def generate() -> str:
    """A new token: 43 printable characters, 160 random bits; the dots are in no Base64 alphabet, so it reads one way only (R10)."""
    text = secrets.token_hex(20)
    return ".".join(text[i : i + 10] for i in range(0, 40, 10))


def hash_token(token: str) -> bytes:
    """What we keep of a secret by which we know others: a token of a platform (R12), a cookie, a link."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def outbound_header(token: str, encoding: str) -> str:
    """The Authorization header value for a token, as-is (`raw`) or in Base64 (`base64`) (R1–R3)."""
    text = base64.b64encode(token.encode()).decode() if encoding == "base64" else token
    return f"Token {text}"


def strip_scheme(token: str) -> str:
    """A token C that arrived with the scheme in front of it, without it (field lessons 1)."""
    return _SCHEME.sub("", token, count=1) if _SCHEME.match(token) else token


def inbound_readings(authorization: str | None) -> list[str]:
    """The tokens a header may mean, in the order of trial: literally first, then decoded (D2); the scheme may be missing."""
    if not authorization or len(authorization) > _LONGEST:
        return []
    text = authorization.strip()
    if _OTHER_SCHEME.match(text):
        return []
    text = _SCHEME.sub("", text, count=1).strip() if _SCHEME.match(text) else text
    if not text or text.lower() == "token":
        return []
    decoded = _decode(text)
    return [text] if decoded is None or decoded == text else [text, decoded]


def _decode(text: str) -> str | None:
    """The Base64 reading: standard or URL-safe, padding optional, trailing white space of the content dropped (I-2, I-3)."""
    if not _BASE64.fullmatch(text):
        return None
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        content = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return content.rstrip("\r\n ") or None


def masked(token: str) -> str:
    """A token as people may see it: enough to compare two, not to use one."""
    return f"…{token[-4:]} ({len(token)} characters)" if len(token) > 12 else f"({len(token)} characters)"
