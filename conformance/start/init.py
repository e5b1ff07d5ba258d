"""``python -m conformance init``: write an adapter that conforms, with the files of a gate, to start from."""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance import registry
from conformance.onnx.features import OnnxFeatures
from conformance.version import __version__
from reference.config import KINDS

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".in"  # of a template, so that no tool reads it as code
TOKEN = re.compile(r"@([A-Z]+)@")
CLASS = ("conformance_adapter:MyBackend",)
MODULES = {"lstm": "MyLSTM", "gru": "MyGRU", "rnn_tanh": "MyTanhRNN", "rnn_relu": "MyReluRNN"}
OPERATORS = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}


class CannotWrite(Exception):
    """A project that cannot be written; the message is one sentence."""


@dataclass(frozen=True)
class Language:
    """One choice of ``--lang``: the files, packages and commands of its projects."""

    title: str
    replace: str
    """The file with the marked part, for the user's code."""
    adapter: str = "conformance_adapter.py"
    backends: tuple[str, ...] = CLASS
    """The NAMEs after --backend, for each kind if ``@KIND@`` is in them."""
    build: str = ""
    """A command of the shell that builds the program."""
    needs: str = ""
    """Packages beside the suite, as arguments of pip install."""
    line: str = ""
    """A line of the adapter for each kind."""
    ignored: str = ""
    """A line of .gitignore."""
    kinds: tuple[str, ...] = ("lstm", "gru")
    """The kinds without ``--kinds``."""
    possible: tuple[str, ...] = KINDS


LANGUAGES = {
    "python": Language("layers in Python", "my_rnn.py"),
    "torch": Language(
        "modules of torch",
        "my_rnn.py",
        backends=("conformance_adapter:@KIND@",),
        needs="torch",
        line='@KIND@ = module_backend(my_rnn.@CLASS@, kinds="@KIND@", name="my-@KIND@", version="0.1")',
    ),
    "jax": Language(
        "functions of JAX",
        "my_rnn.py",
        backends=("conformance_adapter:@KIND@",),
        needs="jax",
        line='@KIND@ = function_backend(my_rnn.@KIND@, kinds="@KIND@", name="my-@KIND@", version="0.1", **few)',
    ),
    "keras": Language("layers of Keras", "my_layers.py", needs="keras torch"),
    "onnx": Language(
        "an ONNX runtime", "my_runtime.py", "my_runtime.py", ("my_runtime:MyRuntime",), needs="onnx onnxruntime"
    ),
    "c": Language("layers in C", "rnn.c", ignored="librnn.so*"),
    "go": Language(
        "layers in Go",
        "my_rnn.go",
        "conformance_adapter.go",
        ("exec:./conformance_adapter",),
        build="go build -o conformance_adapter .",
        ignored="/conformance_adapter",
    ),
    "rust": Language(
        "layers in Rust",
        "src/my_rnn.rs",
        "src/conformance_adapter.rs",
        ("exec:target/release/conformance_adapter",),
        build="cargo build --quiet --release",
        ignored="/target/",
    ),
    "javascript": Language(
        "layers in JavaScript", "my_rnn.mjs", "conformance_adapter.mjs", ("exec:node conformance_adapter.mjs",)
    ),
}


def add_to(commands: Any) -> None:
    """Add the command ``init`` to the subparsers of the command line."""
    parser = commands.add_parser(
        "init",
        help="write an adapter that conforms, with a gate, to start from",
        description="Write an adapter around a small right implementation, a README with the commands, the workflow "
        "of a gate and an entry for pre-commit. Then put your library in the marked place. Exit status 2 and one "
        "sentence if something cannot be written; nothing is overwritten.",
    )
    parser.add_argument("--lang", required=True, choices=LANGUAGES, help="the language or framework of the layers")
    parser.add_argument("--kinds", metavar="KINDS", help=f"some of {','.join(KINDS)}, with commas")
    parser.add_argument(
        "--suite",
        default=f"rnn-conformance=={__version__}",
        metavar="ADDRESS",
        help="what pip install is given for this suite, in the generated files (%(default)s)",
    )
    parser.add_argument("directory", metavar="DIR", help="the folder to write to")
    parser.set_defaults(run=lambda arguments: run(parser, arguments))


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Run the command. Exit with status 2 and one sentence if the project cannot be written."""
    folder, language = Path(arguments.directory), LANGUAGES[arguments.lang]
    try:
        kinds = chosen(language, arguments.kinds, arguments.lang)
        written = write(folder, project(arguments.lang, kinds, arguments.suite))
    except CannotWrite as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    for path in written:
        print(path)
    root = next((parent for parent in folder.resolve().parents if (parent / ".git").exists()), None)
    if root is not None and not (folder / ".git").exists():
        print(f"Move .github and .pre-commit-config.yaml to {root}: they count only at the root of a repository.")
    print(f"Next: cd {folder}, and the commands of README.md.")


def chosen(language: Language, asked: str | None, name: str) -> list[str]:
    """Return the chosen kinds, in the documentation's order. Raises CannotWrite."""
    if asked is None:
        return [kind for kind in KINDS if kind in language.kinds]
    kinds = [kind.strip() for kind in asked.split(",")]
    wrong = [kind for kind in kinds if kind not in language.possible]
    if wrong:
        allowed = ", ".join(language.possible)
        raise CannotWrite(f"--kinds: {wrong[0]!r} is none that --lang {name} has; give some of {allowed}.")
    return [kind for kind in KINDS if kind in kinds]


def project(name: str, kinds: list[str], suite: str) -> dict[str, str]:
    """Return the text of every file of a project, by its path."""
    language = LANGUAGES[name]
    backends = [
        b.replace("@KIND@", kind) for b in language.backends for kind in kinds if "@KIND@" in b or kind == kinds[0]
    ]
    needs = [f"'{suite}'", *language.needs.split()]
    built = [f"    {language.build}"] if language.build else []
    tokens = {
        "TITLE": language.title,
        "REPLACE": language.replace,
        "ADAPTER": language.adapter,
        "KIND": kinds[0],
        "KINDS": ", ".join(f'"{kind}"' for kind in kinds),
        "NEEDS": " ".join(needs),
        "CHECKS": "\n".join([*built, *(f'    python -m conformance check "{backend}"' for backend in backends)]),
        "BACKENDS": " ".join(f'--backend "{backend}"' for backend in backends),
        "BUILD": language.build or ": # nothing to build",
        "IGNORED": language.ignored,
        "LINES": "\n".join(language.line.replace("@KIND@", kind).replace("@CLASS@", MODULES[kind]) for kind in kinds),
        "OPERATORS": ", ".join(f'"{operator}"' for operator in dict.fromkeys(OPERATORS[kind] for kind in kinds)),
        "KNOWN": known_failures(kinds),
        "ARITHMETIC": '"GRU": "approximate-activations"' if "gru" in kinds else "",
    }
    files: dict[str, str] = {}
    for folder in ("common", name):
        for path in sorted((TEMPLATES / folder).rglob(f"*{SUFFIX}")):
            text = TOKEN.sub(lambda match: tokens[match[1]], path.read_text("utf-8"))
            files[path.relative_to(TEMPLATES / folder).as_posix().removesuffix(SUFFIX)] = text.rstrip("\n") + "\n"
    return files


def known_failures(kinds: list[str]) -> str:
    """Return onnxruntime's known failures in float32, of the operators and functions that a project claims."""
    operators = {OPERATORS[kind] for kind in kinds}
    path = registry.known_failures("onnx-ops-ort")
    entries = tomllib.loads(path.read_text("utf-8"))["known_failure"] if path else []
    lines: list[str] = []
    for entry in entries:
        kind = entry.get("kind")
        if entry.get("dtype", "float32") != "float32" or not _functions(entry) <= {*OnnxFeatures.activations}:
            continue
        if kind is None or OPERATORS.get(kind, kind) in operators:
            texts = {name: _toml(value) for name, value in entry.items() if name != "backend"}
            lines += ["", "[[known_failure]]", *(f"{name} = {text}" for name, text in texts.items())]
    return "\n".join(lines)


def _functions(entry: dict[str, Any]) -> set[str]:
    """Return the activation functions that a known failure's example needs."""
    plan = entry.get("example", {}).get("plan", {})
    return {*plan.get("names", ()), *([plan["function"]] if "function" in plan else ())}


def _toml(value: Any) -> str:
    """Write a value in a line of TOML."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_toml(part)}' for name, part in value.items())}}}"
    return json.dumps(value)


def write(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write the files; return their paths. Raises CannotWrite, and overwrites nothing."""
    there = [path for path in files if (folder / path).exists()]
    if there:
        raise CannotWrite(f"{folder} has {', '.join(there)} already: name another folder, or move these away.")
    written = []
    for path, text in files.items():
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        except OSError as error:
            raise CannotWrite(f"{target} cannot be written ({error.strerror}).") from None
        written.append(target)
    return written
