"""Event ids from what a file says, so that a second import of the same rows adds nothing.

An id is a BLAKE2b digest of the row's bytes as they stand (without its line end), of the series, and of the row's
number among the rows of the file that read exactly the same. Therefore
  - the same row twice in one file is two events;
  - the same file again, also under another name, gives the same ids;
  - a file to which rows were appended keeps the ids of the earlier rows;
  - the mapping has no part in it: the same row read in another way is a conflict, which the server reports.
Rows that read the same in two files are one event. Files whose rows repeat, such as daily files without a date in
them, or the logs of several hosts, are told apart by a series.
"""

from __future__ import annotations

from hashlib import blake2b


class RowIds:
    """Gives each row of one file its id, in order.

    Remembers 8 bytes for each different row: about 85 MB of memory for a million of them. Should two rows share these 8
    bytes, their ids still differ, because an id has 16 bytes of the whole row; only their numbers run on together.
    """

    def __init__(self, series: str = "") -> None:
        self._series = blake2b(series.encode(), digest_size=16).digest()
        self._seen: dict[int, int] = {}

    def next(self, raw: bytes) -> str:
        """The id of the next row that reads like this: 32 hexadecimal digits."""
        digest = blake2b(raw, digest_size=16, key=self._series).digest()
        short = int.from_bytes(digest[:8], "big")
        number = self._seen.get(short, 0) + 1
        self._seen[short] = number
        if number == 1:
            return digest.hex()
        return blake2b(digest + number.to_bytes(8, "big"), digest_size=16).hexdigest()
