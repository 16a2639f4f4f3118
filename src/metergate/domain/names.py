"""Names of the catalog, and texts for people."""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Iterable, Sequence

from metergate.domain.errors import Violation

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./\-]{0,63}")
WORDS_MAX = 256  # bytes of a unit or a display name


def check_names(where: str, names: Sequence[str], most: int) -> Iterable[Violation]:
    """What is wrong with the names of the things that stand at `where`."""
    if len(names) > most:
        yield Violation(where, f"at most {most} are allowed")
    twice = {name for name, count in Tally(names).items() if count > 1}
    for index, name in enumerate(names):
        at = f"{where}[{index}].name"
        if not NAME.fullmatch(name):
            yield Violation(at, f"{name[:80]!r} is not a name: letters, digits, _ . / -, at most 64")
        elif name in twice:
            yield Violation(at, f"{name!r} stands here twice")


def check_words(where: str, text: str, most: int = WORDS_MAX) -> Iterable[Violation]:
    """What people read: anything but NUL, which no store keeps."""
    if len(text.encode()) > most or "\0" in text:
        yield Violation(where, f"must be at most {most} bytes without NUL")
