"""Faults of lists and their pages (interoperability rows I-20 and I-47 to I-68)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from yarl import URL

from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.ocpi import envelope
from ocpi_nap.ocpi.errors import Invalid, NotFound
from ocpi_nap.simulator.faults.fault import FROM_221, Answered, Fault, Json, Lost, Reply, refusal

_HEADERS = ("Link", "X-Total-Count", "X-Limit")


def _lists(change: Any) -> Any:
    """``change`` on pages of lists."""

    def applied(reply: Reply) -> None:
        if reply.is_list:
            change(reply)

    return applied


def _without(*names: str) -> Any:
    return _lists(lambda reply: [reply.headers.pop(name, None) for name in names])


def _link(pattern: str) -> Any:
    """The link in another form; ``{url}`` is the URL, ``{path}`` its path and query."""

    def change(reply: Reply) -> None:
        if "Link" in reply.headers:
            url = reply.headers["Link"].partition(">")[0][1:]
            reply.headers["Link"] = pattern.format(url=url, path=url.removeprefix(reply.base))

    return _lists(change)


def _empty_link(reply: Reply) -> None:
    reply.headers.setdefault("Link", "")


def _cursor(reply: Reply) -> None:
    """Links with a cursor; an offset is refused."""
    if reply.is_list and "Link" in reply.headers:
        assert reply.listing is not None
        query = {name: value for name, value in reply.request.query.items() if name.startswith("date_")}
        query["cursor"] = f"c{reply.listing.offset + reply.listing.limit}"
        url = f"{reply.base}{reply.request.url.with_query(query).raw_path_qs}"
        reply.headers["Link"] = f'<{url}>; rel="next"'


def _loop(reply: Reply) -> None:
    if "Link" in reply.headers:
        reply.headers["Link"] = f'<{reply.page_url()}>; rel="next"'


def _whole(reply: Reply) -> None:
    """Everything at once, whatever is asked for, and no paging headers."""
    assert reply.listing is not None
    reply.data = list(reply.listing.objects)
    for name in _HEADERS:
        reply.headers.pop(name, None)


def _first_page(reply: Reply) -> None:
    assert reply.listing is not None
    reply.data = reply.listing.objects[: reply.listing.limit]
    reply.headers.pop("Link", None)


def _page_count(reply: Reply) -> None:
    reply.headers["X-Total-Count"] = str(len(reply.data))


def _limit_count(reply: Reply) -> None:
    reply.headers["X-Limit"] = str(len(reply.data))


def _body_paging(reply: Reply) -> None:
    following = reply.headers.pop("Link", "").partition(">")[0][1:]
    reply.data = {"next": following or None, "items": reply.data}
    for name in _HEADERS:
        reply.headers.pop(name, None)


def _refuse_limit(reply: Reply) -> None:
    if reply.kind in ("locations", "tariffs") and "limit" in reply.request.query:
        raise Invalid("Limit is not a number")


def _link_without_limit(reply: Reply) -> None:
    if "Link" in reply.headers:
        assert reply.listing is not None
        query = reply.request.url.update_query(offset=reply.listing.offset + reply.listing.limit).without_query_params("limit")
        reply.headers["Link"] = f'<{reply.base}{query.raw_path_qs}>; rel="next"'


def _refuse_own_link(reply: Reply) -> None:
    if reply.request.query.get("date_to") == "None":
        raise Answered(refusal(404, 2000, message="no such page"))


def _small(reply: Reply) -> None:
    assert reply.listing is not None
    if len(reply.data) > 3:
        reply.data = reply.data[:3]
        reply.headers |= {"X-Limit": "3", "Link": f'<{reply.page_url(offset=reply.listing.offset + 3, limit=3)}>; rel="next"'}


def _past_end(status: int) -> Any:
    """No link; an offset past the end is an error."""

    def change(reply: Reply) -> None:
        for name in ("Link", "X-Total-Count"):
            reply.headers.pop(name, None)
        if not reply.data and reply.listing is not None and reply.listing.offset:
            if status == 404:
                raise NotFound("no such page")
            raise Answered(refusal(status, 2001))

    return _lists(change)


def _overlap(reply: Reply) -> None:
    """Each page begins with the last object of the one before."""
    assert reply.listing is not None
    if reply.listing.offset and reply.data:
        reply.data = [reply.listing.objects[reply.listing.offset - 1], *reply.data]


def _twice(reply: Reply) -> None:
    """The first object comes again on the last page, older."""
    assert reply.listing is not None
    if "Link" not in reply.headers and reply.data:
        reply.data = [*reply.data, {**reply.listing.objects[0], "last_updated": "2019-01-01T00:00:00Z"}]


def _rate_limit(retry_after: str | None) -> Any:
    """The second page request, and each third after it, comes too early."""

    def before(reply: Reply) -> None:
        if reply.kind in ("locations", "tariffs"):
            reply.counts["rate-limit"] += 1
            if reply.counts["rate-limit"] % 3 == 2:
                raise Answered(refusal(429, 2000, {"Retry-After": retry_after} if retry_after else None))

    return before


def _sometimes(name: str, act: Any) -> Any:
    """``act`` on the first answer of a page, then never again for the same URL."""

    def change(reply: Reply) -> None:
        key = f"{name} {reply.request.path_qs}"
        if reply.is_list and not reply.counts[key]:
            reply.counts[key] += 1
            act(reply)

    return change


def _truncate(reply: Reply) -> None:
    reply.body = msgspec.json.encode(reply.envelope)[:-40]


def _lose(reply: Reply) -> None:
    raise Lost


def _fail(reply: Reply) -> None:
    reply.status, reply.envelope = 500, {"status_code": 3000, "status_message": "busy", "timestamp": envelope.timestamp()}


def _maintenance(reply: Reply) -> None:
    if reply.is_list:
        reply.content_type, reply.body = "text/html", b"<html><h1>Under maintenance</h1></html>"


def _bad_objects(reply: Reply) -> None:
    assert reply.listing is not None
    if not reply.listing.offset:
        reply.data = [*reply.data[:1], {"id": 5, "address": []}, "an object", *reply.data[1:]]


def _empty(reply: Reply) -> None:
    reply.data = []
    reply.headers |= {"X-Total-Count": "0"}
    reply.headers.pop("Link", None)


def _missing(reply: Reply) -> None:
    """The total counts objects that never come."""
    assert reply.listing is not None
    reply.headers["X-Total-Count"] = str(len(reply.listing.objects) + 5)


def _by_operator(reply: Reply) -> None:
    """Only the objects of the operator that OCPI-to-* names."""
    assert reply.listing is not None
    party = reply.request.headers.get("OCPI-to-party-id")
    reply.data = [item for item in reply.listing.objects if item.get("party_id") == party]
    reply.headers |= {"X-Total-Count": str(len(reply.data))}
    reply.headers.pop("Link", None)


def _now(location: Json) -> None:
    location["last_updated"] = format_ms(datetime.now(UTC))


def _drop_filter(reply: Reply) -> None:
    """The link forgets date_from."""
    if "Link" in reply.headers and "date_from" in reply.request.query:
        query = {name: value for name, value in URL(reply.headers["Link"].partition(">")[0][1:]).query.items() if name != "date_from"}
        reply.headers["Link"] = f'<{reply.base}{reply.request.url.with_query(query).raw_path_qs}>; rel="next"'


def _partial(reply: Reply) -> None:
    """Of a changed Location, only one EVSE."""
    if reply.kind == "locations" and "date_from" in reply.request.query:
        reply.data = [{**location, "evses": location["evses"][:1]} for location in reply.data]


def _old(location: Json) -> None:
    location["last_updated"] = "2015-01-01T00:00:00Z"


def _refuse_date(reply: Reply) -> None:
    if reply.kind in ("locations", "tariffs") and "date_from" in reply.request.query:
        raise Invalid("date_from: not supported")


FAULTS = [
    Fault("link-missing", "I-47", "there is no Link, but X-Total-Count", after=_without("Link")),
    Fault("total-missing", "I-48", "there is no X-Total-Count and X-Limit", after=_without("X-Total-Count", "X-Limit")),
    Fault("paging-headers-missing", "I-47", "there is neither Link nor X-Total-Count nor X-Limit", after=_without(*_HEADERS),
          settings={"page_size": "5"}),
    Fault("total-of-the-page", "I-48", "X-Total-Count is the number on the page", after=_lists(_page_count)),
    Fault("limit-of-the-page", "I-48", "X-Limit is the number on the page", after=_lists(_limit_count)),
    Fault("link-single-quotes", "I-49", "rel is in single quotes", after=_link("<{url}>; rel='next'"), told_as="link-form"),
    Fault("link-without-quotes", "I-49", "rel is not quoted", after=_link("<{url}>;REL=next"), told_as="link-form"),
    Fault("link-typographic-quotes", "I-49", "rel is in typographic quotes", told_as="link-form",
          after=_link("<{url}>; rel=\u201dnext\u201d")),
    Fault("link-without-brackets", "I-49", "the Link's URL has no angle brackets", after=_link('{url}; rel="next"'), told_as="link-form"),
    Fault("link-bare", "I-49", "the Link is only a URL", after=_link("{url}"), told_as="link-form"),
    Fault("link-empty", "I-49", "the last page has an empty Link", after=_lists(_empty_link)),
    Fault("link-fails", "R113", "the Link's URL is one that the platform does not have", before=_refuse_own_link,
          after=_link('<{url}&date_to=None>; rel="next"')),
    Fault("link-relative", "I-49", "the Link's URL is relative", after=_link('<{path}>; rel="next"')),
    Fault("links-several", "R114", "several links in one header", after=_link('<{url}&x=1>; rel="last", <{url}>; title="n"; rel="next"')),
    Fault("link-cursor", "I-50", "links carry a cursor", after=_cursor),
    Fault("paging-in-body", "I-51", "pages are chained in the body: data is {next, items}", after=_lists(_body_paging), tolerated=False),
    Fault("link-loop", "I-53", "every Link leads to the same page", after=_lists(_loop), tolerated=False),
    Fault("link-elsewhere", "R115", "the Link leads to another host", after=_link('<http://elsewhere.example{path}>; rel="next"'),
          tolerated=False),
    Fault("paging-ignored", "I-54", "everything comes in one answer, whatever is asked for", after=_lists(_whole)),
    Fault("first-page-only", "I-54", "every offset gives the first page", after=_lists(_first_page), tolerated=False),
    Fault("limit-refused", "I-55", "a limit is answered with 2001", before=_refuse_limit, after=_lists(_link_without_limit)),
    Fault("small-pages", "R118", "pages of three objects, whatever is asked for", after=_lists(_small)),
    Fault("end-is-404", "I-56", "an offset past the end is answered with 404, and no page has a link", after=_past_end(404)),
    Fault("end-is-416", "I-56", "an offset past the end is answered with 416, and no page has a link", after=_past_end(416)),
    Fault("pages-overlap", "I-57", "objects come on two pages", after=_lists(_overlap)),
    Fault("object-twice", "I-119", "an object comes twice in a list, the second time older", after=_lists(_twice)),
    Fault("date-from-ignored", "I-59", "date_from makes no difference"),
    Fault("date-from-refused", "I-61", "date_from is answered with 2001", before=_refuse_date, needs="twice"),
    Fault("list-empty", "I-64", "lists are empty", after=_lists(_empty), needs="twice"),
    Fault("truncated", "I-65", "the first answer of each page is cut off", wire=_sometimes("truncated", _truncate)),
    Fault("server-errors", "R129", "the first answer of each page is 500", wire=_sometimes("server-errors", _fail)),
    Fault("connection-resets", "R129", "the first request of each page is dropped", wire=_sometimes("connection-resets", _lose)),
    Fault("maintenance", "I-65", "lists are an HTML page with 200", wire=_maintenance, tolerated=False, told_as="not-json"),
    Fault("bad-objects", "I-66", "two entries of each list are no objects that can be used", after=_lists(_bad_objects)),
    Fault("per-operator", "I-67", "lists hold only the objects of the operator in OCPI-to-*", after=_lists(_by_operator),
          settings={"pull_scope": "per_operator"}, versions=FROM_221),
    Fault("total-too-high", "R126", "X-Total-Count counts objects that never come", after=_lists(_missing), tolerated=False),
    Fault("rate-limit", "I-20", "requests are limited: 429 with Retry-After", before=_rate_limit("1")),
    Fault("rate-limit-bare", "I-20", "requests are limited: 429 without Retry-After", before=_rate_limit(None)),
    Fault("link-without-filter", "I-52", "the Link of a page with date_from has none", after=_lists(_drop_filter), needs="delta"),
    Fault("delta-evses-partial", "I-62", "with date_from, Locations come with one EVSE only", after=_lists(_partial),
          settings={"delta_evses_partial": True}, needs="delta"),
    Fault("location-time-not-raised", "I-58", "last_updated of locations does not follow that of their EVSEs", location=_old),
    Fault("always-new", "I-59", "last_updated of locations is always now", location=_now),
]  # fmt: skip
