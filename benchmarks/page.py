"""The page docs/performance.md, made from docs/performance.json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

HEAD = """# Performance

`python -m benchmarks` (`tox -e benchmarks`) writes this page. Each process had one thread, on 2 cores that did other
work as well. With each figure `performance.json` has a yardstick, the milliseconds that a fixed piece of NumPy's work
took at that time; `python -m benchmarks --check` measures again and reports figures above 1.5 times as many yardsticks.
"""


def page(data: dict[str, list[dict[str, Any]]]) -> str:
    """Return the page of these figures."""
    lines = [HEAD.rstrip(), "", *of_targets(data)]
    for section, write in SECTIONS.items():
        if rows := data.get(section):
            lines += ["", *write(rows)]
    return "\n".join([*lines, "", *of_ideas()]) + "\n"


IDEAS = (
    ("one tolerance for all dtypes of a call", "at most 5 % of `quick`",
     "float32, which has most calls, takes three quarters of the tolerance"),
    ("4 replicas first instead of 8", "a tenth of the tolerance",
     "small arrays cost NumPy's overhead, however many replicas they hold"),
    ("the gates of LSTM and GRU by one call of the logistic function", "7 % of the tolerance",
     "it moves the tolerance of every committed case by chance"),
    ("tolerances kept on disk under a digest of the call and of the code", "17 % of a repeated `quick`, 10 MB",
     "a backend that writes to foreign memory would spoil later runs as well"),
    ("plans kept on disk", "0.95 s of processor, 0.47 s of a small adapter's",
     "3 % of the processor time, for one more file to trust"),
    ("only the plans that are used, instead of blocks of 25", "a quarter of drawing plans",
     "a check that needs more of a block draws all of it again"),
    ("ordinary sizes up to 7 instead of 17, long calls of 33 and 40 steps instead of up to 80, fewer large calls",
     "8 % of `quick`, 21 % of `standard`",
     "8, 9, 16 and 17 lie beside the blocks of vectorized kernels, and all committed results would change"),
    ("plans drawn ahead of the workers' requests", "nothing", "the threads wait for Python's lock instead"),
    ("one import of the backend for all of its processes", "an import: 1.3 s of processor for torch",
     "they would share their output, their limits and their end"),
)  # fmt: skip


def of_ideas() -> Iterator[str]:
    yield "## What else was measured"
    yield ""
    yield "What ideas that are not in the suite save of `quick` of torch-cpu (2026-12-01), and why they are not there:"
    yield ""
    yield from table(("idea", "saves", "but"), IDEAS)


def table(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    names = list(names)
    yield "| " + " | ".join(names) + " |"
    yield "| " + " | ".join("---" for _ in names) + " |"
    for row in rows:
        yield "| " + " | ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row) + " |"


def of_runs(rows):
    yield "## Time to a verdict"
    yield ""
    yield (
        "From the command to its end, with imports. Useful: the share of backend and oracle in the sum of the parts. "
        "[adapters-results.md](adapters-results.md) has the time of `standard` for every adapter."
    )
    yield ""
    names = ("backend", "profile", "at a time", "wall s", "processor s", "checks", "examples", "examples/s", "useful",
             "harness ms an example", "largest process MiB")  # fmt: skip
    yield from table(names, ([r["backend"], r["profile"], r["processes"], r["wall"], r["processor"], r["checks"],
        r["examples"], r["examples"] / r["wall"], f"{r['useful']:.0%}", r["harness_ms_per_example"],
        round(r["memory_mib"])] for r in rows))  # fmt: skip
    yield ""
    one = {(r["backend"], r["profile"]): r["wall"] for r in rows if r["processes"] == 1}
    two = {(r["backend"], r["profile"]): r["wall"] for r in rows if r["processes"] == 2}
    told = [f"{profile} of {backend} {one[backend, profile] / two[backend, profile]:.2f}" for backend, profile in two
            if (backend, profile) in one]  # fmt: skip
    if told:
        yield f"Two processes at a time are faster by these factors: {', '.join(told)}."
        yield ""
    yield "Where the time of the processes goes, in seconds:"
    yield ""
    parts = list(dict.fromkeys(name for r in rows for name in r["parts"]))
    yield from table(
        ("backend", "profile", "at a time", *parts),
        ([r["backend"], r["profile"], r["processes"], *(r["parts"].get(p, 0.0) for p in parts)] for r in rows),
    )


def of_imports(rows):
    yield "## Imports"
    yield ""
    found = {name: value for name, value in rows[0].items() if name != "yardstick"}
    yield from table((f"{name}, s" for name in found), [found.values()])


def of_oracle(rows):
    yield "## The oracle and torch"
    yield ""
    yield "Milliseconds, one thread; torch's gradients as the adapter computes them."
    yield ""
    names = ("oracle forward", "torch float64 forward", "torch float32 forward",
             "oracle gradient", "torch float64 gradient", "torch float32 gradient")  # fmt: skip
    yield from table(("kind", "T, N, I, H, L, D", *names), (
        [r["kind"], f"{r['T']}, {r['N']}, {r['input_size']}, {r['hidden_size']}, {r['num_layers']}, "
         f"{1 + r['bidirectional']}", *(r[n] for n in names)] for r in rows))  # fmt: skip


def of_growth(rows):
    yield "## How cost grows"
    yield ""
    yield (
        "Milliseconds of a forward pass of T 8, N 4, I 8, H 8, one layer, but for one size. `quick` has calls of "
        "65,537 steps, of 65,537 samples and of 1,025 units; their tolerance is computed for a part of the call."
    )
    yield ""
    yield "![Milliseconds of oracle and tolerance by T, N and hidden_size](performance/growth.svg)"
    yield ""
    yield from table(("kind", "size", "value", "oracle", "tolerance"),
        ([r["kind"], r["axis"], r["value"], r["oracle"], r["tolerance"]] for r in rows))  # fmt: skip


def of_examples(rows):
    yield "## More examples"
    yield ""
    yield "Seconds of processor for `reference`, GRU in float32, by the number of examples for each check."
    yield ""
    yield "![Seconds of processor by the number of examples](performance/examples.svg)"
    yield ""
    yield from table(("examples for each check", "examples in all", "processor s"),
        ([r["examples"], r["made"], r["processor"]] for r in rows))  # fmt: skip


def of_backends(rows):
    yield "## Several backends in one run"
    yield ""
    yield "Seconds of processor for `quick`. The plans are drawn once for all backends of equal claims."
    yield ""
    yield from table(("backends", "processor s"), ([r["backend"], r["processor"]] for r in rows))


def of_shards(rows):
    yield "## Shards"
    yield ""
    yield (
        "Seconds of processor for `quick` of torch-cpu in shards (`--shard K/N`), run one after the other. "
        "The longest shard decides when the last of N machines is done. Each shard imports torch and collects tests."
    )
    yield ""
    yield "![Seconds of processor of the longest shard and of all shards](performance/shards.svg)"
    yield ""
    yield from table(("shards", "longest, processor s", "all, processor s"),
        ([r["shards"], r["longest"], r["processor"]] for r in rows))  # fmt: skip


def of_redis(rows):
    yield "## One Redis server"
    yield ""
    yield (
        "Clients save and fetch examples of 400 bytes through Hypothesis's RedisExampleDatabase, 20 for each check, on "
        "this machine. The clients take most of its processor; the microseconds of the server's own processor tell "
        "what one server takes."
    )
    yield ""
    names = ("saved a second", "us of the server, saved", "fetched a second", "us of the server, fetched")
    yield from table(("clients", *names, "kept", "memory MiB"),
        ([r["clients"], *(r[n] for n in names), r["kept"], r["memory_mib"]] for r in rows))  # fmt: skip


def of_adapters(rows):
    yield "## An adapter of one kind and dtype"
    yield ""
    yield (
        "`quick` of two adapters of an LSTM in float32, a step at a time in NumPy (`benchmarks/adapters.py`), on a "
        "terminal: one right, one with ONNX's order of gates. Told: seconds until its failure stands there with its "
        "diagnosis."
    )
    yield ""
    yield from table(("adapter", "wall s", "processor s", "told after s"),
        ([r["adapter"].lower(), r["wall"], r["processor"], r["told"] or ""] for r in rows))  # fmt: skip


def of_explanation(rows):
    yield "## Explaining a failure of a slow backend"
    yield ""
    yield (
        "`quick` of `LSTM-GATE-ORDER` with the adapter that has ONNX's order of gates, whose calls take 0.3 s or whose "
        "layers take 10 s to build: seconds of a run without explanation, and how many more it takes with one."
    )
    yield ""
    yield from table(("adapter", "run s", "explanation s"),
        ([SLOW[r["adapter"]], r["plain"], r["explanation"]] for r in rows))  # fmt: skip


SLOW = {"SlowCall": "calls of 0.3 s", "SlowBuild": "builds of 10 s"}


def of_tests(rows):
    yield "## The project's own tests"
    yield ""
    yield from table(("tests", "passed", "wall s", "processor s"),
        ([f"`tox -e {TESTS[r['tests']][0]}`", f"{r['passed']:,}", r["wall"], r["processor"]]
         for r in rows))  # fmt: skip


TESTS = {"fast": ("fast", 90), "all": ("tests", 480)}  # the environment of tox, and the seconds to reach


def of_faults(rows):
    yield "## Seconds to the first failure"
    yield ""
    r = rows[0]
    yield f"Of {r['faults']} faults of the bank `quick` finds {r['found']}; processor seconds of checking until then:"
    yield ""
    yield from table(r["seconds"].keys(), [r["seconds"].values()])


def of_peers(rows):
    yield "## Others"
    for r in rows:
        yield ""
        if r["peer"] == "ONNX":
            yield (
                f"ONNX's {r['tests']} node tests of RNN, LSTM and GRU under onnxruntime: {r['processor']:.3g} s of "
                f"processor, {r['inside']:.3g} s of it in the tests, the rest start-up."
            )
        else:
            yield (
                f"{r['peer']} on NumPy, {r['tests']} of its files (elementwise, linear algebra, manipulation, "
                f"statistics): {r['executions']:,} executions, {r['executions'] / r['seconds']:.0f} a second; "
                f"{r['inside'] / r['seconds']:.1%} of the time inside NumPy's functions, "
                f"{r['drawing'] / r['seconds']:.0%} drawing."
            )


def of_campaign(rows):
    last = {row["backend"]: row for row in rows}
    examples, failed = (sum(row[name] for row in last.values()) for name in ("examples", "failed"))
    yield "## Long campaigns"
    yield ""
    yield (
        f"Campaigns of {len(last)} right implementations, each in one process, all requirements in rounds: "
        f"{examples:,} examples, {failed} failed. Memory is that of pytest's process and of the largest process below "
        "it at that moment; the rate is counted from the line before."
    )
    yield ""
    yield from table(("backend", "examples", "s", "examples/s", "pytest MiB", "backend MiB"), (
        [f"`{r['backend']}`", f"{r['examples']:,}", round(r["seconds"]), round(r["examples_per_second"]),
         round(r["pytest_mib"]), round(r["backend_mib"])] for r in rows))  # fmt: skip


def of_targets(data):
    """Yield the table of the targets, the figures reached, and the obstacles."""
    runs = {(r["backend"], r["profile"], r["processes"]): r for r in data.get("runs", ())}
    rows = []
    for backend, profile, seconds, why in TO_REACH:
        mine = [r for (b, p, _), r in runs.items() if (b, p) == (backend, profile)]
        if mine:
            best = min(mine, key=lambda r: r["wall"])
            largest = sorted(best["parts"].items(), key=lambda part: -part[1])[:3]
            spent = ", ".join(f"{name} {taken:.3g} s" for name, taken in largest)
            stands = f"{best['processor']:.3g} s of processor: {spent}; {why}"
            rows.append([
                f"`{profile}` of {backend} in {seconds} s",
                f"{best['wall']:.1f} s",
                "" if best["wall"] <= seconds else stands,
            ])  # fmt: skip
    if standard := runs.get(("torch-cpu", "standard", 1)):
        useful, each = standard["useful"], standard["harness_ms_per_example"]
        rows.append(["70 % of `standard` in backend and oracle", f"{useful:.0%}", "" if useful >= 0.7 else WHY_USEFUL])
        rows.append(["0.4 ms of harness an example", f"{each:.2g} ms", "" if each <= 0.4 else WHY_USEFUL])
        rows.append(["1.5 GiB of memory", f"{standard['memory_of_all_mib'] / 1024:.2f} GiB, all processes", ""])
    small = {r["adapter"]: r for r in data.get("adapters", ())}
    if {"Right", "Wrong"} <= small.keys():
        right, wrong = small["Right"], small["Wrong"]
        rows.append(["`quick` of an adapter of one kind and dtype in 2 s", f"{right['wall']:.2g} s",
                     "" if right["wall"] <= 2 else WHY_SMALL])  # fmt: skip
        longer, more = (wrong[what] / right[what] for what in ("wall", "processor"))
        told = f"{longer:.2f} times, of the processor {more:.2f} times"
        rows.append(["a failing one at most 1.1 times as long", told,
                     "" if max(longer, more) <= 1.1 else WHY_FAILING])  # fmt: skip
        rows.append(["its failure told with the diagnosis in 5 s", f"{wrong['told']:.2g} s", ""])
    if slow := data.get("explanation"):
        longest = max(r["explanation"] for r in slow)
        what = "a failure explained in 20 s where a call takes 0.3 s or a build 10 s"
        rows.append([what, f"{longest:.3g} s", "" if longest <= 20 else WHY_EXPLANATION])
    for r in data.get("tests", ()):
        name, seconds = TESTS[r["tests"]]
        rows.append([f"the tests of `tox -e {name}` in {seconds} s", f"{r['wall']:.0f} s, {r['passed']:,} tests",
                     "" if r["wall"] <= seconds else WHY_TESTS])  # fmt: skip
    for r in data.get("faults", ()):
        half, most = r["seconds"]["50%"], r["seconds"]["95%"]
        told = f"{half:.2g} s and {most:.2g} s"
        rows.append(["half of the faults in 2 s, 95 % in 15 s", told, "" if half <= 2 and most <= 15 else WHY_FAULTS])
    if oracle := data.get("oracle"):
        ratios = [r[f"oracle {what}"] / r[f"torch float64 {what}"] for r in oracle for what in ("forward", "gradient")]
        told = f"{min(ratios):.2f} to {max(ratios):.2f} times as long"
        rows.append(["the oracle no slower than torch float64", told, "" if max(ratios) <= 1 else WHY_ORACLE])
    if campaign := data.get("campaign"):
        longest = max(campaign, key=lambda r: r["milestone"])["backend"]
        first, *_, last = (r for r in campaign if r["backend"] == longest)
        grown = {name: last[f"{name}_mib"] - first[f"{name}_mib"] for name in ("pytest", "backend")}
        told = ", ".join(f"{name}'s process {mib:.0f} MiB" for name, mib in grown.items())
        rows.append([
            "1,000,000 examples grow by less than 50 MiB",
            f"{told}, from {first['examples']:,} to {last['examples']:,}",
            "" if max(grown.values()) < 50 else WHY_MEMORY,
        ])  # fmt: skip
    if rows:
        yield "## Targets"
        yield ""
        yield from table(("on 2 cores", "reached", "obstacle"), rows)


TO_REACH = (
    (
        "torch-cpu",
        "quick",
        8,
        "torch itself takes a third: a module is built for every layer, and calls of 65,537 steps take 2 s",
    ),
    ("torch-cpu", "standard", 35, "half of it is the framework's and the oracle's own"),
    (
        "onnxruntime",
        "standard",
        60,
        "torch's exporter takes 0.5 to 4.5 s for a graph; with `CONFORMANCE_EXPORTS` later runs take none of it",
    ),
)
WHY_USEFUL = "the tolerance: a limit is eight evaluations on disturbed arrays, and most of the layers are small"
WHY_SMALL = "imports of pytest, NumPy and Hypothesis, drawing for the first time, and one call of 65,537 steps"
WHY_FAILING = (
    "the search for the smallest call and its cause, and the proof that each later failure follows from it; a failing "
    "check waits for the earlier ones, so that one of two processes stands still"
)
WHY_EXPLANATION = "a call or build that has begun is waited for"
WHY_TESTS = "most of the time goes to whole runs of the suite against wrong implementations, in processes of their own"
WHY_MEMORY = "the backend's process keeps what its largest call so far needed, of 65,537 steps or samples"
WHY_FAULTS = "checks run in the order of prerequisites, not of the bank; drawing for all kinds precedes the first check"
WHY_ORACLE = "with few units the time of a step is the overhead of NumPy's calls, about 1 us each"


SECTIONS = {"runs": of_runs, "imports": of_imports, "oracle": of_oracle, "growth": of_growth,
            "examples": of_examples, "backends": of_backends, "shards": of_shards, "redis": of_redis,
            "adapters": of_adapters, "explanation": of_explanation, "tests": of_tests,
            "faults": of_faults, "peers": of_peers, "campaign": of_campaign}  # fmt: skip
