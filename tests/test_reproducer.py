"""Reproducers fail with the fault and pass without it; known failures replay their example."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from conformance import Result, registry
from conformance.backends.torch_eager import TorchCPU
from conformance.backends.torch_onnx_script import TorchScriptOnnxRuntime
from conformance.diagnosis.replay import replay
from conformance.diagnosis.script import script
from conformance.diagnosis.simplify import simplified
from conformance.engine.serialization import BrokenExample, call_of, entry, example_of
from conformance.engine.subject import Subject
from conformance.runs.known_failures import BrokenFile, read
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.gradient_strategies import gradient_calls
from conformance.specifications.torch_nn.strategies import cells, layers
from tests.harness import PLANS, verdict_of
from tests.test_plugin import QUICK, run

ROOT = Path(__file__).parents[1]
BANK = "tests.diagnosing"


def verdict_on(name, requirement, kind, dtype="float32"):
    (check,) = TORCH_NN.checks_of(requirement)
    backend = registry.backend(name)
    return verdict_of(check, backend, kind, dtype)


def executed(folder, text, *arguments):
    """Run the script in a separate process from the root; return exit status and output."""
    file = folder / "reproducer.py"
    file.write_text(text, "utf-8")
    command = [sys.executable, str(file), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


# A fault, the requirement that fails, its kind, and a part of the reproducer's output.
FAILING = {
    "lstm_gates_f_i": ("FORWARD-EQUATION", "lstm", "elements are wrong"),  # numbers of a layer
    "cells_in_float16": ("CELL-EQUATION", "gru", "elements are wrong"),  # numbers of a cell
    "gradients_averaged_over_the_batch": ("GRADIENT-EQUATION", "gru", "elements are wrong"),
    "initial_state_ignored": ("STATE-STEPWISE", "gru", "got"),  # a law of states
    "state_kept_between_calls": ("STATE-REPEATED-CALL", "gru", "the same call gave other bits the second time"),
    "any_input_accepted": ("REFUSE-INPUT-RANK", "lstm", "accepted"),  # a missing refusal
    "arguments_written": ("STATE-ARGUMENTS-UNTOUCHED", "gru", "the call wrote into"),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_reproducer_fails_while_the_fault_is_there_and_passes_when_it_is_mended(name, tmp_path):
    requirement, kind, said = FAILING[name]
    verdict = verdict_on(f"{BANK}:{name}", requirement, kind)
    assert not verdict.passed
    assert CATALOGUE[requirement].statement.split()[0] in verdict.reproducer
    status, printed = executed(tmp_path, verdict.reproducer)
    assert status == 1, printed
    assert said in printed
    assert "Traceback" not in printed
    status, printed = executed(tmp_path, verdict.reproducer, "reference")
    assert status == 0, printed


def test_numbers_are_round_and_zero_where_the_failure_allows():
    verdict = verdict_on(f"{BANK}:lstm_gates_f_i", "FORWARD-EQUATION", "lstm")
    example = tomllib.loads(verdict.known_failure)["known_failure"][0]["example"]
    numbers = np.concatenate([np.ravel(a) for a in (example["x"], *example["parameters"].values())])
    assert np.array_equal(numbers, np.round(numbers, 1))
    assert np.count_nonzero(numbers) < len(numbers) / 2
    assert "oracle" not in verdict.reproducer


def test_simpler_numbers_keep_the_error_clear():
    (check,) = TORCH_NN.checks_of("FORWARD-EQUATION")
    subject = Subject(TORCH_NN, registry.backend(f"{BANK}:results_off_by_3e_5"), "gru", "float32")
    call = layer_call("gru")
    smaller, failure = simplified(check, subject, call, 100)
    assert failure is not None
    assert "times as much" in str(failure)
    values = smaller.x.astype(float)
    assert np.array_equal(values, np.round(values, 2))


def layer_call(kind, draw=layers, where=lambda call: True):
    for number in range(12):
        for plan in PLANS.block(TORCH_NN, draw, TorchCPU.features, number):
            call = plan.build(kind, "float32")
            if call.uses and call.x.size > 20 and where(call):
                return call
    raise AssertionError("no such call was drawn")


class OffByOne(TorchCPU):
    """torch with numbers that are one too large; its snippet calls torch itself, which is right."""

    def layer(self, config, parameters):
        return off_by_one(super().layer(config, parameters), "forward")

    def cell(self, config, parameters):
        return off_by_one(super().cell(config, parameters), "step")


class OffByOneExported(OffByOne, TorchScriptOnnxRuntime):
    """The exported module with numbers that are one too large."""

    features = TorchScriptOnnxRuntime.features
    snippet = TorchScriptOnnxRuntime.snippet


def off_by_one(module, method):
    right = getattr(module, method)

    def wrong(*arguments):
        returned = right(*arguments)
        changed = (returned[0] + 1, *returned[1:])
        return Result(*changed) if method == "forward" else changed

    setattr(module, method, wrong)
    return module


SNIPPETS = {
    "layer": (OffByOne, "lstm", layers, lambda call: call.T < 6 and not call.config.proj_size),
    "lengths": (OffByOne, "gru", layers, lambda call: call.lengths is not None and call.T < 6),
    "cell": (OffByOne, "lstm", cells, lambda call: call.h is not None),
    "exported": (OffByOneExported, "lstm", layers, lambda call: call.lengths is None and not call.config.proj_size),
}
BREAK_TORCH = """
import torch

forward = torch.nn.{name}.forward
torch.nn.{name}.forward = lambda self, *a: (lambda r: (r[0] + 1, *r[1:]))(forward(self, *a))
"""


@pytest.mark.parametrize("form", SNIPPETS)
def test_a_snippet_needs_neither_suite_nor_adapter(form, tmp_path):
    backend, kind, draw, where = SNIPPETS[form]
    call = layer_call(kind, draw, where)
    text = script(Subject(TORCH_NN, backend(), kind, "float32"), CATALOGUE["FORWARD-EQUATION"], "off by one", call)
    assert "import conformance" not in text
    assert "from conformance" not in text
    status, printed = executed(tmp_path, text)
    assert status == 0, printed
    if form != "exported":
        name = {"lstm": "LSTM", "gru": "GRU"}[kind] + "Cell" * (form == "cell")
        status, printed = executed(tmp_path, BREAK_TORCH.format(name=name) + text)
        assert status == 1, printed


def test_replay_says_in_a_sentence_what_it_cannot_run(capsys):
    assert replay("nonsense", "FORWARD-EQUATION", "gru", "float32") == 2
    assert "backend 'nonsense' is unknown" in capsys.readouterr().out
    assert replay("reference", "FORWARD-EQUATION", "gru", "float32", {"call": "layer"}) == 2
    assert "the example is none" in capsys.readouterr().out
    assert replay("reference", "FORWARD-EQUATION", "gru", "float32") == 0


# --- examples -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [layers, cells, gradient_calls])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_call_comes_back_from_its_data(draw, dtype):
    for plan in PLANS.block(TORCH_NN, draw, TorchCPU.features, 0)[:20]:
        call = plan.build("lstm", dtype)
        again = call_of(
            TORCH_NN,
            tomllib.loads(entry("A", "b", "lstm", dtype, example_of(TORCH_NN.form_of(call), call)))["known_failure"][0][
                "example"
            ],
            "lstm",
            dtype,
        )
        assert again.config == call.config
        pairs = [(call.arguments[name], again.arguments[name]) for name in call.arguments]
        pairs += [(call.parameters[name], again.parameters[name]) for name in call.parameters]
        for mine, its in pairs:
            assert mine.tobytes() == its.tobytes() if isinstance(mine, np.ndarray) else mine == its


def test_a_plan_is_an_example_of_every_kind():
    example = {"plan": {"input_size": 2, "hidden_size": 3, "T": 4, "N": 2, "with_lengths": True, "seed": 7}}
    for kind in ("lstm", "gru", "rnn_relu"):
        call = call_of(TORCH_NN, example, kind, "float16")
        assert (call.config.kind, call.config.dtype, call.T, len(call.lengths)) == (kind, "float16", 4, 2)
    assert call_of(TORCH_NN, {"plan": {"input_size": 2, "hidden_size": 3, "N": 2}}, "gru", "float32").x.shape == (2, 2)
    with pytest.raises(BrokenExample, match="hidden_size"):
        call_of(TORCH_NN, {"plan": {"input_size": 2, "T": 4}}, "gru", "float32")


def known(folder, **keys):
    """Write a file of known failures with one entry; return the option for it."""
    from conformance.engine.serialization import toml

    entry = {"reason": "known", "issue": "https://example.org/1"} | keys
    file = folder / "known.toml"
    file.write_text("\n".join(["[[known_failure]]", *(f"{name} = {toml(v)}" for name, v in entry.items())]))
    return "--known-failures", str(file)


NARROW = {"requirement": "FORWARD-EQUATION", "kind": "gru"}
LARGE = {"plan": {"input_size": 2, "hidden_size": 2, "T": 1, "N": 40, "seed": 3}}
SMALL = {"plan": {"input_size": 2, "hidden_size": 2, "T": 1, "N": 2, "seed": 3}}


def suite(name, *arguments):
    which = ("-k", "FORWARD-EQUATION and gru and float32")
    return run("conformance", "--backend", f"{BANK}:{name}", *QUICK, *which, *arguments, cwd=ROOT)


def test_a_known_failure_whose_example_fails_does_not_flake(tmp_path):
    """No drawn example fails; without its own example the entry would count as fixed."""
    few = ("--conformance-examples", "1")
    status, printed = suite("samples_past_32_zero", *few, *known(tmp_path, **NARROW))
    assert status == 1, printed
    assert "passes now: take the entry out" in printed
    status, printed = suite("samples_past_32_zero", *few, *known(tmp_path, **NARROW, example=LARGE))
    assert status == 0, printed
    assert "1 xfailed" in printed


def test_a_known_failure_whose_example_passes_is_told_as_mended(tmp_path):
    status, printed = run("conformance", "--backend", "reference", *QUICK, "-k", "FORWARD-EQUATION and gru and float32",
                          *known(tmp_path, **NARROW, dtype="float32", example=LARGE))  # fmt: skip
    assert status == 1, printed
    assert "passes now: take the entry out" in printed


def test_a_known_failure_that_varies_with_the_machine_may_pass(tmp_path):
    entry = {**NARROW, "dtype": "float32", "varies": "with the processor"}
    right = ("--backend", "reference", *QUICK, "-k", "FORWARD-EQUATION and gru and float32")
    status, printed = run("conformance", *right, *known(tmp_path, **entry, example=LARGE))
    assert status == 0, printed
    assert "1 passed" in printed
    status, printed = suite("bias_hh_dropped", *known(tmp_path, **entry))
    assert status == 0, printed
    assert "1 xfailed" in printed


def test_a_known_failure_whose_example_passes_excuses_no_other_call(tmp_path):
    status, printed = suite(
        "bias_hh_dropped", *known(tmp_path, **NARROW, example={"plan": SMALL["plan"] | {"bias": False}})
    )
    assert status == 1, printed
    assert "its example passes now, and another call fails" in printed


def test_a_known_failure_may_be_of_calls_that_another_requirement_decides(tmp_path):
    """Wrong initial states are wrong in more than one gate, which is all that the requirement speaks of."""
    which = ("-k", "LSTM-INPUT-GATE and float32", *known(tmp_path, requirement="LSTM-INPUT-GATE", kind="lstm"))
    wrong = ("conformance", "--backend", f"{BANK}:initial_state_ignored", *QUICK)
    assert "1 skipped" in run(*wrong, *which[:2])[1]
    status, printed = run(*wrong, *which)
    assert status == 0, printed
    assert "1 xfailed" in printed
    status, printed = run("conformance", "--backend", "reference", *QUICK, *which)
    assert status == 1, printed
    assert "passes now: take the entry out" in printed


def test_an_example_that_the_requirement_does_not_speak_of_is_told(tmp_path):
    arguments = known(tmp_path, requirement="LENGTHS-EQUATION", kind="gru", example=SMALL)
    status, printed = run(
        "conformance", "--backend", f"{BANK}:lengths_ignored", *QUICK, "-k", "LENGTHS-EQUATION and gru", *arguments
    )
    assert status == 1, printed
    assert "its example is none that the requirement speaks of" in printed


def test_an_example_may_lie_beside_the_file(tmp_path):
    (tmp_path / "large.json").write_text(json.dumps(LARGE))
    _, file = known(tmp_path, **NARROW, example="large.json")
    assert read(file, {"torch.nn": TORCH_NN})[0].example == LARGE
    for example, said in (
        ("none.json", "none.json cannot be read (No such file or directory)"),
        ({"plan": {}}, "the example is none"),
        (["x"], "should be a table, or the path of a JSON file"),
        ({"call": "layer", "config": {"kind": "lstm", "dtype": "float32"}}, "the example is none"),
    ):
        _, file = known(tmp_path, **NARROW, example=example)
        with pytest.raises(BrokenFile, match=r"entry 1( \(line \d+\))?: ") as error:
            read(file, {"torch.nn": TORCH_NN})
        assert said in str(error.value)


def test_a_run_writes_scripts_and_entries_beside_the_report(tmp_path):
    file = tmp_path / "new" / "report.json"
    status, printed = suite("gru_gates_r_z", "--conformance-report", str(file))
    assert status == 1, printed
    (row,) = [row for row in json.loads(file.read_text())["requirements"] if row["status"] == "failed"]
    script = Path(row["reproducer"])
    assert script.parent == tmp_path / "new" / "report-reproducers"
    assert row["diagnosis"] == [{"fault": "gru-gates-r-z", "explanation": row["diagnosis"][0]["explanation"]}]
    assert f"these are the numbers of {row['diagnosis'][0]['explanation']}" in printed
    assert str(script) in printed
    assert executed(tmp_path, script.read_text())[0] == 1
    # With a reason filled in, the entry beside the script makes the run pass.
    entry = script.with_suffix(".toml").read_text().replace('""', '"known"')
    (tmp_path / "known.toml").write_text(entry)
    status, printed = suite("gru_gates_r_z", "--known-failures", str(tmp_path / "known.toml"))
    assert status == 0, printed
