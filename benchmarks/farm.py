"""Measure the growth of a run: more shards, backends and examples, and clients of one Redis server."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.runs import measured

ROOT = Path(__file__).parents[1]
EXAMPLE_BYTES = 400  # of an example that Hypothesis saves: one of a large plan
KEYS = 20  # checks that share the database


def processor_of(options: Sequence[str]) -> tuple[float, dict[str, Any]]:
    """Run the suite in one process; return the processor seconds of all its processes, and the report."""
    run = measured(*options, "--conformance-processes", "1")
    return run.processor, run.report


def shards(count: int) -> dict[str, Any]:
    """Run quick of torch-cpu in ``count`` shards, one after the other; return their processor seconds."""
    of_a_shard = ["--backend", "torch-cpu", "--hypothesis-profile", "quick"]
    taken = [processor_of([*of_a_shard, "--shard", f"{number}/{count}"])[0] for number in range(1, count + 1)]
    return {"shards": count, "longest": max(taken), "processor": sum(taken)}


def examples(count: int) -> dict[str, Any]:
    """Run the GRU of the oracle in float32 with ``count`` examples for each check; return the processor seconds."""
    taken, report = processor_of(
        ["--backend", "reference", "--conformance-examples", str(count), "-k", "reference-gru-float32"]
    )
    made = sum(row["examples"] for row in report["requirements"])
    return {"examples": count, "made": made, "processor": taken}


def backends(names: Sequence[str]) -> dict[str, Any]:
    """Run quick of several backends at once; return the processor seconds."""
    asked = [word for name in names for word in ("--backend", name)]
    return {"backend": ", ".join(names), "processor": processor_of([*asked, "--hypothesis-profile", "quick"])[0]}


def redis(clients: int, each: int = 400) -> dict[str, Any]:
    """Let ``clients`` processes save and fetch ``each`` examples at a time in one Redis server.

    Return the examples a second of wall time, and the microseconds of the server's processor that each takes.
    """
    from redis import Redis

    from tests.exploring import free_port, redis_server

    found: dict[str, Any] = {"clients": clients}
    with tempfile.TemporaryDirectory() as folder, redis_server(folder, port := free_port()):
        server = Redis(port=port)
        for what in ("saved", "fetched"):
            before, started = _used(server), time.perf_counter()
            for child in [_client(port, number, each, what) for number in range(clients)]:
                if os.waitpid(child, 0)[1]:
                    raise SystemExit("a client of Redis failed")
            wall, used = time.perf_counter() - started, _used(server) - before
            found[f"{what} a second"] = clients * each / wall
            found[f"us of the server, {what}"] = 1e6 * used / (clients * each)
        found["kept"] = sum(server.scard(key) for key in server.keys("*"))
        found["memory_mib"] = server.info("memory")["used_memory"] / 2**20
    return found


def _used(server: Any) -> float:
    info = server.info("cpu")
    return info["used_cpu_user"] + info["used_cpu_sys"]


def _client(port: int, number: int, each: int, what: str) -> int:
    """Fork a client; return its process id."""
    child = os.fork()
    if child:
        return child
    try:
        from conformance.campaign.example_database import opened

        database = opened(f"redis://127.0.0.1:{port}/0")
        for turn in range(each):
            key = f"check {turn % KEYS} of {number}".encode()
            if what == "saved":
                database.save(key, f"{number} {turn} ".encode().ljust(EXAMPLE_BYTES, b"."))
            elif turn < KEYS:  # a fetch returns every example of its key
                assert len(list(database.fetch(key))) == each // KEYS
        os._exit(0)
    except BaseException:
        os._exit(1)
