"""`python -m tests.conformance` writes docs/conformance.md; with `--check` it only says what is missing or stale."""

import sys

from tests.conformance.page import PAGE, collect, held, missing, render


def main() -> None:
    found, problems = held(collect())
    text = render(found)
    if "--check" not in sys.argv:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        problems.append(f"{PAGE.name} is stale: run `make conformance`")
    problems += missing(found)
    if problems:
        raise SystemExit("\n".join(problems))


main()
