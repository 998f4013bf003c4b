"""The report as one HTML file that needs nothing else: no scripts, no other hosts."""

from __future__ import annotations

from html import escape
from typing import Any

from ocpi_nap.checker.report import Json, counted, findings

_WORDS = {"error": "not met", "warning": "to mend", "note": "to know", "passed": "passed", "not run": "not run"}
_HEADINGS = {
    "error": ("Not met", "What keeps the platform from production."),
    "warning": ("To mend", "Not as OCPI has it: this NAP copes, others may not."),
    "note": ("To know", "Allowed, or a matter of taste."),
}
_VERDICTS = {"ready": "passed", "not-ready": "error", "incomplete": "note"}
_STYLE = """
:root { color-scheme: light dark; --back: #fff; --page: #f4f5f7; --text: #1b1f24; --faint: #59636e; --line: #d8dde3;
  --error: #b3261e; --warning: #8a5a00; --note: #1f5fa8; --passed: #1a7037; --code: #f0f2f5; }
@media (prefers-color-scheme: dark) { :root { --back: #1a1d21; --page: #111316; --text: #e6e9ed; --faint: #9aa4af; --line: #343a41;
  --error: #ff8a80; --warning: #f0b95a; --note: #7fb6f5; --passed: #72d08c; --code: #24282e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
p { margin: .25rem 0; }
a { color: inherit; }
.faint { color: var(--faint); font-size: .9rem; }
.card { background: var(--back); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem 1.25rem; margin: .75rem 0; }
.verdict { border-left: .5rem solid; margin: 1.5rem 0; }
.verdict p:first-child { font-size: 1.25rem; font-weight: 600; }
.verdict ul { margin: .5rem 0 0; padding-left: 1.25rem; }
.error { --own: var(--error); } .warning { --own: var(--warning); } .note { --own: var(--note); } .passed { --own: var(--passed); }
.verdict { border-color: var(--own); }
.finding { border-left: .3rem solid var(--own); }
.mark { color: var(--own); font-weight: 600; font-size: .85rem; white-space: nowrap; }
.head { display: flex; gap: .75rem; align-items: baseline; flex-wrap: wrap; }
.head code { font-weight: 600; font-size: 1rem; background: none; padding: 0; }
code, pre { font-family: ui-monospace, monospace; font-size: .85rem; background: var(--code); border-radius: .25rem; }
code { padding: .1rem .3rem; overflow-wrap: anywhere; }
pre { padding: .75rem; margin: .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
ul.examples { margin: .5rem 0; padding-left: 1.25rem; } ul.examples li { overflow-wrap: anywhere; }
.mend { margin-top: .5rem; }
.mend::before { content: "How to mend: "; font-weight: 600; }
details { margin-top: .5rem; } summary { cursor: pointer; color: var(--faint); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td, th { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-top: 1px solid var(--line); }
th { font-weight: 600; } td { overflow-wrap: anywhere; } td.mark { width: 5rem; }
.counts { display: flex; flex-wrap: wrap; gap: 1.5rem; margin: 1rem 0 0; }
.counts b { display: block; font-size: 1.5rem; color: var(--own); }
"""


class _Html(str):
    """Text that is markup already; everything else is escaped."""


def _el(tag: str, *children: Any, **attributes: str) -> _Html:
    shown = "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items())
    inner = "".join(child if isinstance(child, _Html) else escape(str(child)) for child in children)
    return _Html(f"<{tag}{shown}>{inner}</{tag}>")


def page(report: Json) -> str:
    """The whole file."""
    verdict, checked = report["verdict"], report["checked"]
    title = f"OCPI check of {checked['versions_url']}"
    parts = [*_heading(report), _verdict(verdict), _counts(report), *_findings(report), *_rest(report)]
    body = _el("main", _el("h1", "Conformance check"), *parts)
    meta = _Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">')
    head = _el("head", meta, _el("title", title), _Html(f"<style>{_STYLE}</style>"))
    return f'<!doctype html>\n<html lang="en">{head}{_el("body", body)}</html>\n'


def _heading(report: Json) -> list[_Html]:
    checked = report["checked"]
    parts = [f"OCPI {checked['version']} of {', '.join(checked['offered'])}" if checked["version"] else "no version could be used",
             f"token {checked['token_encoding']}" if checked["token_encoding"] else "",
             "with registration" if checked["registered"] else "without registration", counted(report), checked["at"],
             checked["by"]]  # fmt: skip
    return [_el("p", _el("code", checked["versions_url"])), _el("p", " · ".join(part for part in parts if part), class_="faint")]


def _verdict(verdict: Json) -> _Html:
    reasons = [_el("ul", *(_el("li", reason) for reason in verdict["reasons"]))] if verdict["reasons"] else []
    return _el("div", _el("p", verdict["sentence"]), *reasons, class_=f"card verdict {_VERDICTS[verdict['outcome']]}")


def _counts(report: Json) -> _Html:
    return _el("div", *(_el("div", _el("b", len(findings(report, outcome))), word, class_=outcome.replace(" ", "-"))
                        for outcome, word in _WORDS.items()), class_="counts")  # fmt: skip


def _findings(report: Json) -> list[_Html]:
    """The worst first; what passed is in a table below."""
    areas = {check["id"]: area["title"] for area in report["areas"] for check in area["checks"]}
    shown: list[_Html] = []
    for outcome, (heading, meaning) in _HEADINGS.items():
        found = findings(report, outcome)
        if found:
            shown += [_el("h2", heading), _el("p", meaning, class_="faint"), *(_finding(check, areas[check["id"]]) for check in found)]
    return shown


def _finding(check: Json, area: str) -> _Html:
    times = _el("span", f"{check['count']:,} times", class_="faint") if check["count"] > 1 else _Html("")
    head = _el("div", _el("code", check["id"]), _el("span", area, class_="mark"), times, class_="head")
    examples = [_el("ul", *(_el("li", example) for example in check["examples"]), class_="examples")] if check["examples"] else []
    part = [_el("details", _el("summary", "The first of them"), _el("pre", check["object"]))] if check["object"] else []
    return _el("div", head, _el("p", check["requirement"]), _el("p", check["references"], class_="faint"), *examples,
               _el("p", check["mend"], class_="mend"), *part, *map(_exchange, check["exchanges"]),
               class_=f"card finding {check['outcome']}", id=check["id"])  # fmt: skip


def _exchange(exchange: Json) -> _Html:
    sent = [f"{exchange['method']} {exchange['url']}", *(f"{name}: {value}" for name, value in exchange["request_headers"].items())]
    if exchange["request_body"]:
        sent += ["", exchange["request_body"]]
    outcome = f"HTTP {exchange['status']}" if exchange["status"] is not None else "no answer"
    came = [outcome, *([exchange["error"]] if exchange["error"] else []), *(f"{name}: {value}" for name, value in exchange["headers"])]
    if exchange["body"]:
        came += ["", exchange["body"]]
    label = f"Request {exchange['number']}: " if exchange["number"] else "Your request: "
    return _el("details", _el("summary", f"{label}{exchange['method']} {exchange['url']} → {outcome}"),
               _el("p", "sent", class_="faint"), _el("pre", "\n".join(sent)), _el("p", "came back", class_="faint"),
               _el("pre", "\n".join(came)))  # fmt: skip


def _rest(report: Json) -> list[_Html]:
    rows = [
        _el("tr", _el("td", _WORDS[check["outcome"]], class_="mark"), _el("td", _el("code", check["id"])), _el("td", check["requirement"]),
            _el("td", check["references"], class_="faint"), class_=check["outcome"].replace(" ", "-"))
        for area in report["areas"] for check in area["checks"] if check["outcome"] in ("passed", "not run")
    ]  # fmt: skip
    requests = [
        _el("tr", _el("td", request["number"]), _el("td", f"{request['method']} {request['url']}"), _el("td", request["outcome"]),
            _el("td", f"{request['seconds']:.2f} s"))
        for request in report["requests"]
    ]  # fmt: skip
    more = report["requests_in_all"] - len(report["requests"])
    return [
        _el("h2", "Everything else"),
        _el("details", _el("summary", "Checks that passed or were not run"), _el("table", *rows), class_="card"),
        _el("details", _el("summary", f"All requests ({report['requests_in_all']:,})"), _el("table", *requests),
            *([_el("p", f"and {more:,} more", class_="faint")] if more else []), class_="card"),
    ]  # fmt: skip
