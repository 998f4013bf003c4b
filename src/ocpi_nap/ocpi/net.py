"""Where a token may go: host rules for every URL that a platform gives us (R14, R70, R115)."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(Exception):
    """A URL that we do not call; the text says why."""


class NoUrl(Refused):
    """A text that is no URL at all."""


class RefusedAddress(OSError, Refused):
    """An address that we do not connect to."""


def _split(url: str) -> SplitResult:
    """The parts of a URL; raises NoUrl where it has none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise NoUrl(f"{url[:100]!r} is not a usable URL") from None
    return parts


def host_of(url: str) -> str:
    """Lower-case host and port of a URL, the port left out where it is the scheme's own; raises NoUrl where it is none."""
    parts = _split(url)
    port = parts.port
    default = {"http": 80, "https": 443}.get(parts.scheme)
    name = (parts.hostname or "").lower()
    return name if port in (None, default) else f"{name}:{port}"


def check_form(url: str, *, allow_private: bool) -> str:
    """An absolute https URL (http only with ``allow_private``); raises Refused otherwise."""
    parts = _split(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused(f"{url[:100]!r} is not an absolute http(s) URL")
    if parts.username or parts.password:
        raise Refused("a URL with user name or password is not called")
    if parts.scheme == "http" and not allow_private:
        raise Refused(f"{url[:100]} is not https")
    return url.strip()


async def check_address(url: str, *, allow_private: bool) -> None:
    """Refuse hosts that resolve to private, loopback or otherwise unroutable addresses (R70)."""
    if allow_private:
        return
    host = _split(url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return  # the connection itself will tell that the name is unknown
    for entry in found:
        if not _is_public(str(entry[4][0])):
            raise Refused(f"{host} is in a private network")


def _is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet; of those that carry an IPv4 address, that one counts."""
    found: Any = ipaddress.ip_address(address.split("%")[0])
    if found.version == 6:
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None and not _is_public(str(inner)):
            return False
    return bool(found.is_global and not found.is_multicast and not getattr(found, "is_site_local", False))


def public_socket(address: Any) -> socket.socket:
    """A socket for the very address that is about to be connected to; RefusedAddress where that is no public one.

    A name that was looked up before may have another address by now, so that only this check cannot be deceived (R70).
    """
    family, kind, protocol, _, target = address
    if not _is_public(str(target[0])):
        raise RefusedAddress("its address is in a private network")
    return socket.socket(family, kind, protocol)


_UNSENDABLE = re.compile(r"[^\x21-\x7e]")


def _sendable(url: str) -> str:
    """With what cannot stand in a request line percent-encoded; all else stays as it came (R113)."""
    head, mark, tail = url.partition("://")
    host, slash, path = tail.partition("/")
    return f"{head}{mark}{host}{slash}{_UNSENDABLE.sub(lambda found: quote(found.group(), errors='surrogateescape'), path)}"


def follow(base: str, target: str, allowed: frozenset[str]) -> str:
    """A redirect or Link target made absolute; http on the host of an https URL is upgraded; other hosts are refused.

    On the very port that we use, the scheme is the one that works there: some write https into links whatever they speak.
    """
    try:
        url = _sendable(urljoin(base, target.strip()))
    except ValueError:
        raise NoUrl(f"{target[:100]!r} is not a usable URL") from None
    parts, origin = _split(url), _split(base)
    if parts.scheme not in ("http", "https"):
        raise Refused(f"{target[:100]!r} does not lead to an http(s) URL")
    if origin.port is not None and parts.netloc.lower() == origin.netloc.lower():
        return urlunsplit((origin.scheme, *parts[1:]))
    if parts.scheme == "http" and origin.scheme == "https" and parts.hostname == origin.hostname:
        port = "" if parts.port in (None, 80) else f":{parts.port}"
        url = urlunsplit(("https", f"{parts.hostname}{port or (f':{origin.port}' if origin.port else '')}", *parts[2:]))
    if host_of(url) != host_of(base) and host_of(url) not in allowed:
        same_name = parts.hostname == origin.hostname and parts.scheme == "https" and origin.scheme == "http"
        if not same_name:
            raise Refused(f"it leads to another host ({host_of(url)}), which does not get the token")
    return url
