"""What goes wrong for a person at a terminal: one sentence, with what to do about it."""

from __future__ import annotations


class CliError(Exception):
    """Ends a command with one sentence and exit code 1; `reason` is a published `ErrorReason` where there is one."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop, unless it begins with a name such as `limit.max`."""
    plain_word = text.partition(" ")[0].isalpha()
    begun = text[:1].upper() + text[1:] if plain_word else text
    return begun if begun.endswith((".", "?")) else f"{begun}."
