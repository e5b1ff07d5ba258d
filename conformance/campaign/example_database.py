"""The database of failing examples: a directory or Redis, through Hypothesis; many machines can share it.

Later runs and HypoFuzz replay the failing examples of earlier runs first. The keys are Hypothesis's keys of the tests
in ``conformance.campaign.hypofuzz``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase, InMemoryExampleDatabase

REDIS_TIMEOUT_SECONDS = 5.0  # to connect or to answer
RETRY_AFTER_SECONDS = 30.0  # after a failure of the database


class Unusable(ValueError):
    """A place without a usable database; the message is one sentence."""


def opened(place: str) -> ExampleDatabase:
    """Open the database in a directory or at redis://HOST:PORT/DB. Raises Unusable."""
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
    # one retry, because the other end may have closed an idle connection
    server = Redis.from_url(
        place,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )
    try:
        server.ping()
    except (RedisError, OSError) as error:
        raise Unusable(f"{where}: no Redis that can be used answers there ({error}).") from None
    return RedisExampleDatabase(server)


class ResilientDatabase(ExampleDatabase):
    """A database, and a copy of this run's changes, so that nothing is lost if the database fails.

    ``news`` reports the first failure. Then only the copy is used; from time to time the database is tried again and
    gets the pending changes.
    """

    def __init__(self, place: str, copy: ExampleDatabase | None = None) -> None:
        super().__init__()
        self.shared, self.copy = opened(place), copy or InMemoryExampleDatabase()
        self.place = place.rpartition("@")[2]
        self._problem, self._reported = "", False
        self._pending: dict[tuple[bytes, bytes], bool] = {}  # key and value -> True to save, False to delete
        self._failed_at: float | None = None

    def _ask(self, name: str, *arguments: bytes) -> Any:
        """Return the database's answer, None while it fails."""
        if self._failed_at is not None and time.monotonic() - self._failed_at < RETRY_AFTER_SECONDS:
            return None
        try:
            if self._failed_at is not None:
                for pending, save in list(self._pending.items()):
                    (self.shared.save if save else self.shared.delete)(*pending)
                    del self._pending[pending]
                self._failed_at = None
            answer = getattr(self.shared, name)(*arguments)
            return list(answer) if name == "fetch" else True
        except Exception as error:  # any error of a server or a file system: verdicts do not depend on the database
            self._failed_at = time.monotonic()
            self._problem = self._problem or (
                f"the database of examples {self.place} failed ({type(error).__name__}: {error}): the run goes on "
                f"without it, with its own examples"
            )
            return None

    def news(self) -> str:
        """Return a sentence on the database's failure, the first time after it; otherwise an empty string."""
        if self._reported or not self._problem:
            return ""
        self._reported = True
        return self._problem

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """Yield the examples under a key, from the database and from the copy."""
        yield from dict.fromkeys([*(self._ask("fetch", key) or ()), *self.copy.fetch(key)])

    def save(self, key: bytes, value: bytes) -> None:
        """Save an example under a key."""
        self.copy.save(key, value)
        if self._ask("save", key, value) is None:
            self._pending[key, value] = True

    def delete(self, key: bytes, value: bytes) -> None:
        """Delete an example."""
        self.copy.delete(key, value)
        if self._ask("delete", key, value) is None:
            self._pending[key, value] = False
