"""Where a token may go: host rules for every URL that a platform gives us (R14, R70, R115)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urljoin, urlsplit, urlunsplit


class Refused(Exception):
    """A URL that we do not call; the text says why."""


def host_of(url: str) -> str:
    """Lower-case host and port of a URL, the port left out where it is the scheme's own."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise Refused(f"{url[:100]} is not a usable URL") from None
    default = {"http": 80, "https": 443}.get(parts.scheme)
    name = (parts.hostname or "").lower()
    return name if port in (None, default) else f"{name}:{port}"


def check_form(url: str, *, allow_private: bool) -> str:
    """An absolute https URL (http only with ``allow_private``); raises Refused otherwise."""
    try:
        parts = urlsplit(url.strip())
        host_of(url)
    except ValueError as error:
        raise Refused(f"{url[:100]!r} is not a URL: {error}") from None
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
    host = urlsplit(url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # the connection itself will tell that the name is unknown
    for entry in found:
        if not ipaddress.ip_address(str(entry[4][0]).split("%")[0]).is_global:
            raise Refused(f"{host} is in a private network")


def follow(base: str, target: str, allowed: frozenset[str]) -> str:
    """A redirect or Link target made absolute; http on the host of an https URL is upgraded; other hosts are refused.

    On the very port that we use, the scheme is the one that works there: some write https into links whatever they speak.
    """
    url = urljoin(base, target.strip())
    parts, origin = urlsplit(url), urlsplit(base)
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
