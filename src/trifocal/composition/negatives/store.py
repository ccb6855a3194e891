"""Parses and word choices kept on disk, so that they are made once.

One SQLite file beside the data. Many processes may read and write it; what one adds the others
find. It is only a cache: where it cannot be written (a read-only disk, a lock that does not come
free) a warning says so once and training goes on. Content is compressed JSON, so an untrusted file
can at worst give wrong parses.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import zlib
from pathlib import Path
from typing import Any

from trifocal.errors import UserError

_log = logging.getLogger(__name__)

_TABLES = ("parses", "words")
_WAITING = 200  # rows collected before they are written together
_LONGEST = 1 << 24  # characters of one content, against files made to fill the memory
# What a damaged file raises; its own words, in a message, may be no text.
_DAMAGE = (sqlite3.DatabaseError, UnicodeError)
_INHERITED: list[sqlite3.Connection] = []  # of a parent process: a fork must not even close them
_PATIENCE = 20.0  # seconds to wait for another process's lock


def caption_key(parser: str, caption: str) -> str:
    """Key of a caption's parse: SHA-256 over the parser's name and version and the caption."""
    return hashlib.sha256(f"{parser}\0{caption}".encode()).hexdigest()


class ParseStore:
    """A file that keeps parses (by caption) and choices (by word).

    The connection is opened at first use, anew in every process: the object may be made before
    data workers are forked or spawned. Rows are written in groups; `flush` writes what waits.

    Args:
        path: the SQLite file; made, with its folder, where it does not exist.

    Raises:
        UserError: at first use, when the file exists and is no such store.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._writable = True
        self._reset()

    def _reset(self) -> None:
        connection = self.__dict__.get("_connection")
        if connection is not None:
            _INHERITED.append(connection)
        self._connection: sqlite3.Connection | None = None
        self._waiting: list[tuple[str, str, bytes]] = []
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_writable": self._writable}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __enter__(self) -> ParseStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at interpreter exit modules may be gone
            self.close()

    def get_parse(self, key: str) -> str | None:
        """The stored parse (JSON) under a `caption_key`, or None."""
        return self._get("parses", key)

    def put_parse(self, key: str, content: str) -> None:
        """Keep a parse (JSON) under a `caption_key`."""
        self._put("parses", key, content)

    def get_word(self, key: str) -> str | None:
        """The stored choices (JSON) of a word, or None."""
        return self._get("words", key)

    def put_word(self, key: str, content: str) -> None:
        """Keep the choices (JSON) of a word."""
        self._put("words", key, content)

    def __len__(self) -> int:
        """Number of parses in the file."""
        self.flush()
        connection = self._open()
        try:
            count = connection.execute("SELECT count(*) FROM parses") if connection else None
            return count.fetchone()[0] if count else 0
        except _DAMAGE as error:
            raise self._refusal(error) from error

    def flush(self) -> None:
        """Write the rows that wait."""
        if self._process != os.getpid():
            self._reset()  # after a fork the rows that wait belong to the parent
        waiting, self._waiting = self._waiting, []
        connection = self._open() if waiting and self._writable else None
        if connection is None:
            return
        try:
            with connection:
                for table in _TABLES:
                    rows = [(key, content) for name, key, content in waiting if name == table]
                    connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", rows)
        except (sqlite3.Error, UnicodeError) as error:
            self._give_up(error)

    def close(self) -> None:
        """Write what waits and close the file; the store may be used again afterwards."""
        if self._process != os.getpid():
            return  # the parent's connection must not be touched from a fork
        self.flush()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _get(self, table: str, key: str) -> str | None:
        connection = self._open()
        if connection is None:
            return None
        try:
            row = connection.execute(
                f"SELECT content FROM {table} WHERE key = ?", (key,)
            ).fetchone()
        except sqlite3.OperationalError as error:
            self._give_up(error)
            return None
        except _DAMAGE as error:
            raise self._refusal(error) from error
        return _unpack(row[0]) if row else None

    def _put(self, table: str, key: str, content: str) -> None:
        if self._process != os.getpid():
            self._reset()
        self._waiting.append((table, key, zlib.compress(content.encode())))
        if len(self._waiting) >= _WAITING:
            self.flush()

    def _open(self) -> sqlite3.Connection | None:
        """This process's connection, or None where the file cannot be opened."""
        if self._process != os.getpid():
            self._reset()
        if self._connection is None and self._writable:
            try:
                self._connection = self._connect()
            except (sqlite3.OperationalError, OSError) as error:
                self._give_up(error)
            except _DAMAGE as error:
                raise self._refusal(error) from error
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous=OFF")  # a cache need not survive a power cut
            for table in _TABLES:
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {table} (key TEXT PRIMARY KEY, content BLOB) "
                    "WITHOUT ROWID"
                )
        except (sqlite3.Error, UnicodeError):
            connection.close()
            raise
        return connection

    def _refusal(self, error: Exception) -> UserError:
        return UserError(
            f"{self.path} is not a store of parses ({error}); name another file or delete it."
        )

    def _give_up(self, error: Exception) -> None:
        """Go on without the file."""
        if self._writable:
            _log.warning("parses are not kept in %s: %s", self.path, error)
        self._writable = False


def _unpack(content: bytes) -> str | None:
    """A stored content; None where it is damaged."""
    try:
        reader = zlib.decompressobj()
        text = reader.decompress(content, _LONGEST)
        return text.decode() if reader.eof else None
    except (zlib.error, TypeError, UnicodeDecodeError):
        return None
