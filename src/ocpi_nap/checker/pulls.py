"""Reading a list as the NAP does, with every answer at hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from ocpi_nap.checker.recorder import Key, Seen
from ocpi_nap.checker.state import Run
from ocpi_nap.model.platform import Party, PlatformSettings
from ocpi_nap.ocpi.client import PeerError
from ocpi_nap.ocpi.links import next_link, with_query
from ocpi_nap.ocpi.paging import Crawler, CrawlFailed


@dataclass
class Pull:
    """One reading of a list."""

    module: str
    limit: int | None
    """Asked for; None: none was."""
    party: Party | None = None
    exchanges: list[Seen] = field(default_factory=list)
    received: int = 0
    total: int | None = None
    failed: str = ""

    @property
    def pages(self) -> list[Seen]:
        """The answers that were pages."""
        return [seen for seen in self.exchanges if seen.succeeded]

    @property
    def last(self) -> Seen | None:
        """The exchange with which it ended."""
        return self.exchanges[-1] if self.exchanges else None

    @property
    def cut(self) -> bool:
        """Whether it ended only because it was a sample."""
        return self.failed.startswith("more than")

    @property
    def keys(self) -> list[Key]:
        """In the order of the pages; of each object the first time only."""
        return list(dict.fromkeys(key for page in self.pages for key, _ in page.reading.objects or () if key is not None))


def link_of(page: Seen) -> str | None:
    """The URL of the next page as the NAP reads it."""
    return next_link(page.all_headers("Link"))


async def pull(
    run: Run, module: str, settings: PlatformSettings, *, party: Party | None = None, date_from: datetime | None = None,
    each: Callable[[bytes, Seen], None] | None = None,
) -> Pull:  # fmt: skip
    """Read a list to its end, or until it cannot be read on; ``each`` gets every object as it came. Never raises for what they answer."""
    assert run.discovered is not None
    mark = run.recorder.mark()
    url = run.discovered.endpoints[module]
    crawler = Crawler(run.client, run.peer(party=party), url, settings, date_from=date_from, sleep=run.sleep)
    found = Pull(module, settings.page_size if settings.send_paging_parameters else None, party)
    try:
        async for page in crawler.pages():
            if each is not None:
                answer = [seen for seen in run.recorder.since(mark) if seen.succeeded][page.number - 1]
                if answer.reading.objects is not None:
                    for item, _ in page.items:
                        each(item, answer)
    except CrawlFailed as failed:
        found.failed = str(failed)
    found.exchanges = run.recorder.since(mark)
    found.received, found.total = crawler.received, crawler.total
    return found


async def one_page(run: Run, module: str, *, url: str = "", party: Party | None = None, **query: str | int) -> Seen | None:
    """One GET of the list (or of ``url``) with these parameters, whatever comes of it."""
    assert run.discovered is not None
    mark = run.recorder.mark()
    with suppress(PeerError):
        await run.client.get_page(run.peer(party=party), with_query(url or run.discovered.endpoints[module], query))
    seen = run.recorder.since(mark)
    run.provoked |= {one.number for one in seen}
    return seen[-1] if seen else None
