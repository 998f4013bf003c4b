"""The error every command raises to stop: one plain sentence first, then what helps."""

from __future__ import annotations


class CliError(Exception):
    """Printed on stderr as one sentence and optional detail lines; the command exits with status 1."""

    def __init__(self, sentence: str, *details: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.details = details
