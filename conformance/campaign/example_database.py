"""Where failing examples are kept: a database of Hypothesis, a directory or Redis, which many machines may share.

What one run finds is replayed first by the next, and by HypoFuzz: the keys are those that Hypothesis gives to the
tests of ``conformance.campaign.hypofuzz``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase, InMemoryExampleDatabase

PATIENCE = 5.0  # seconds that Redis may take to connect or to answer
AGAIN = 30.0  # seconds until a database that failed is asked again


class Unusable(ValueError):
    """No database can be used there; the message is one sentence."""


def opened(place: str) -> ExampleDatabase:
    """The database of a directory or of redis://HOST:PORT/DB. Raises Unusable."""
    if "://" in place:
        return _redis(place)
    folder = Path(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        next(folder.iterdir(), None)
    except OSError as error:
        raise Unusable(f"{place}: no directory can be used there ({error.strerror}).") from None
    return DirectoryBasedExampleDatabase(folder)


def _redis(place: str) -> ExampleDatabase:
    url = urlsplit(place)
    try:
        where = f"{url.scheme}://{url.hostname}:{url.port or 6379}{url.path}"  # without the password
    except ValueError:  # a port that is no number
        url = urlsplit("")
    if url.scheme not in ("redis", "rediss") or not url.hostname or not url.path.strip("/").isdigit():
        raise Unusable(f"{place}: give a directory, or redis://HOST:PORT/DB with a number for DB.")
    try:
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis, RedisError
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise Unusable(f"{where}: that needs the package redis, pip install 'rnn-conformance[redis]'.") from None
    # one retry: a connection that was idle for long may be closed at the other end
    patience = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "retry": Retry(NoBackoff(), 1)}
    server = Redis.from_url(place, **patience)
    try:
        server.ping()
    except (RedisError, OSError) as error:
        raise Unusable(f"{where}: no Redis that can be used answers there ({error}).") from None
    return RedisExampleDatabase(server)


class ResilientDatabase(ExampleDatabase):
    """A database and a copy of what this run puts there, so that nothing is lost where the database goes away.

    The first failure is told by ``news``; after that the copy serves alone, and from time to time the database is
    tried again and given what it is owed.
    """

    def __init__(self, place: str, copy: ExampleDatabase | None = None) -> None:
        super().__init__()
        self.shared, self.copy = opened(place), copy or InMemoryExampleDatabase()
        self.place = place.rpartition("@")[2]
        self._problem, self._told = "", False
        self._owed: dict[tuple[bytes, bytes], bool] = {}  # key and value -> whether it is kept there
        self._gone_since: float | None = None

    def _ask(self, name: str, *arguments: bytes) -> Any:
        """What the database answers, None while it does not."""
        if self._gone_since is not None and time.monotonic() - self._gone_since < AGAIN:
            return None
        try:
            if self._gone_since is not None:
                for owed, kept in list(self._owed.items()):
                    (self.shared.save if kept else self.shared.delete)(*owed)
                    del self._owed[owed]
                self._gone_since = None
            answer = getattr(self.shared, name)(*arguments)
            return list(answer) if name == "fetch" else True
        except Exception as error:  # whatever a server or a file system has: no verdict hangs on it
            self._gone_since = time.monotonic()
            self._problem = self._problem or (
                f"the database of examples {self.place} failed ({type(error).__name__}: {error}): the run goes on "
                f"without it, with its own examples"
            )
            return None

    def news(self) -> str:
        """That the database failed, in a sentence, the first time that one asks after it did."""
        if self._told or not self._problem:
            return ""
        self._told = True
        return self._problem

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """The examples that are kept under a key, of the database and of the copy."""
        yield from dict.fromkeys([*(self._ask("fetch", key) or ()), *self.copy.fetch(key)])

    def save(self, key: bytes, value: bytes) -> None:
        """Keep an example under a key."""
        self.copy.save(key, value)
        if self._ask("save", key, value) is None:
            self._owed[key, value] = True

    def delete(self, key: bytes, value: bytes) -> None:
        """Keep it no longer."""
        self.copy.delete(key, value)
        if self._ask("delete", key, value) is None:
            self._owed[key, value] = False
