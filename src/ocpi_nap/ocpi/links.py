"""URLs of lists: the Link header as platforms write it (R114, I-49), and parameters beside those that an endpoint has already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

# Typographic quotes arrive as UTF-8 read as latin-1, or as themselves. Nothing here goes back over what it has read: a header of
# eight thousand blanks, or of as many brackets, costs no more than its length.
_QUOTE = "[\"'\u201c\u201d\u2018\u2019\u00e2\u0080\u009c\u009d\u0098\u0099\u0094]*+"
_REL_NEXT = re.compile(rf"rel\s*+=\s*+{_QUOTE}\s*+(?:[a-z-]++\s++)*next", re.IGNORECASE)
"""Also among several relation types (RFC 8288 section 3.3)."""
_BRACKETED = re.compile(r"<([^<>]*+)>([^<]*+)")


def next_link(values: list[str]) -> str | None:
    """The target of the link with rel next, None when there is none; one bare URL alone counts as the next page."""
    for value in values:
        text = value.strip()
        if not text:
            continue
        bracketed = _BRACKETED.findall(text)
        for url, parameters in bracketed:
            if _REL_NEXT.search(parameters) and url.strip():
                return str(url).strip()
        if bracketed:
            continue
        for part in re.split(r",\s*(?=https?:|/)", text):
            url, _, parameters = part.partition(";")
            if _REL_NEXT.search(parameters) or (not parameters and url.strip().startswith(("http://", "https://"))):
                return url.strip().strip("\"'")
    return None


def with_query(url: str, parameters: Mapping[str, str | int]) -> str:
    """The URL with these parameters after its own query, which stays as it is (R112)."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(parameters)) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
