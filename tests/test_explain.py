"""Dumps explained: mistakes named, right ones passed, files broken in one sentence, the further call, the command."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np
import pytest

import conformance
from conformance.dumps import BrokenDump, explain
from conformance.specifications.torch_nn.faults import BANK
from tests import explained
from tests.explained import CASES, Case, dump_of, odd_dumps, right_dumps

BY_NAME = {case.name: case for case in CASES}
SHARE = ["gates i o f g (ONNX)", "Keras reset_after=False", "no bias_hh", "reshaped, not transposed",
         "states exchanged", "not flipped back", "rows by direction", "lengths of output only", "reads batch first",
         "last step only",
         "weights in float16", "Keras's kernels of a GRU", "reset before and not flipped back"]  # fmt: skip
GOOD = dump_of(Case("right", "lstm", ()))


@pytest.mark.parametrize("name", SHARE)
def test_mistake_is_named(name):
    case = BY_NAME[name]
    row = explained.examine(case, "small", 1)
    assert row.true, row.named


def test_large_calls_are_compared_in_two_samples(monkeypatch):
    monkeypatch.setattr("conformance.dumps.search.LARGE", 0)
    assert explained.examine(BY_NAME["lengths of output only"], "usual", 1).true
    assert explained.examine(BY_NAME["reset before and not flipped back"], "usual", 2).true


def test_tolerance_in_parts_is_that_of_the_whole(monkeypatch):
    dump = dump_of(Case("right", "lstm", (), call={"D": 2, "lengths": True}), "usual")
    whole = explain(dump).calls[0]["margin"]
    monkeypatch.setattr("conformance.dumps.judging.MAX_REPLICATED", 1)
    assert explain(dump).calls[0]["margin"] == pytest.approx(whole, rel=0.5)


def test_pair_is_named_once():
    found = explain(dump_of(BY_NAME["ONNX order and no bias_hh"]))
    assert [entry["fault"] for entry in found.diagnosis] == ["lstm-gates-i-o-f-g+bias-hh-dropped"]


def test_two_calls_of_a_usual_size():
    assert explained.examine(BY_NAME["forget bias 1"], "usual", 2).named == ("lstm-forget-bias-one",)


@pytest.mark.parametrize(
    ("name", "dump"), list(right_dumps())[::4], ids=lambda value: value if isinstance(value, str) else ""
)
def test_right_dump_passes(name, dump):
    found = explain(dump)
    assert found.right
    assert "Right:" in str(found)


def in_a_row(kind, carried, samples=(2, 2, 2), kept=("h_0", "c_0"), **shape):
    """Dump calls of one layer, of which each begins where the one before it ended, if ``carried``."""
    rng, state = np.random.default_rng(3), {}
    p = explained.parameters(kind, 3, 4, **shape)
    flat = {"kind": kind, **p}
    for k, N in enumerate(samples):
        x = explained.draw(rng, 5, N, 3)
        came = explained.run(kind, p, x, **state if k else {})
        flat |= {f"{k}/{n}": a for n, a in ({"x": x} | came).items()}
        ends = {n.replace("_n", "_0"): came[n] for n in ("h_n", "c_n") if n in came}
        state = {n: a if n in kept else 0 * a for n, a in ends.items()} if carried(k) else {}
    return flat


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.parametrize("shape", [{}, {"L": 2, "D": 2}])
def test_a_state_that_goes_on_from_call_to_call_is_named(kind, shape):
    (cause,) = explain(in_a_row(kind, lambda k: True, **shape)).diagnosis
    assert cause["fault"] == "state-carried-between-calls"
    assert "(here call 1, 2)" in cause["explanation"]
    assert explain(in_a_row(kind, lambda k: False, **shape)).right


def test_a_state_that_goes_on_once_is_named_with_the_call():
    (cause,) = explain(in_a_row("gru", lambda k: k == 1)).diagnosis
    assert "(here call 2)" in cause["explanation"]


@pytest.mark.parametrize("kept", ["h_0", "c_0"])
def test_one_of_two_states_that_goes_on_is_named_alone(kept):
    (cause,) = explain(in_a_row("lstm", lambda k: True, kept=(kept,))).diagnosis
    assert f"ended, {kept} alone (here call 1, 2): h_0 and c_0 are zero" in cause["explanation"]


@pytest.mark.parametrize("form", ["%.4f", "%.6g"])
def test_a_state_that_goes_on_is_named_though_its_numbers_were_printed(form):
    (cause,) = explain(as_printed(in_a_row("gru", lambda k: True), form)).diagnosis
    assert cause["fault"] == "state-carried-between-calls"


def test_the_first_wrong_call_after_right_ones_points_to_what_differs_there():
    dump = in_a_row("lstm", lambda k: True, samples=(2, 2))
    dump["1/output"] = dump["1/output"] * np.float32(1.01)
    said = str(explain(dump, seconds=1.5))
    assert "all 1 is the first wrong one: look at its sizes, and at what the layer keeps from call to call" in said
    assert "W_ih" not in said


def test_a_wrong_second_call_is_not_taken_for_a_carried_state():
    dump = in_a_row("lstm", lambda k: True, samples=(2, 2))
    dump["1/output"] = dump["1/output"] * np.float32(1.01)
    assert not explain(dump, seconds=1.5).diagnosis


FORMATS = ("%.6f", "%.4f", "%.6g")


def as_printed(dump, form, dtype=np.float64):
    """Print all numbers of a dump and read them again."""

    def again(a):
        return np.array([dtype(form % value) for value in a.ravel()]).reshape(a.shape)

    return {n: again(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for n, a in dump.items()}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_right_numbers_that_were_printed_pass(form, dtype):
    for name, dump in list(right_dumps())[1:-4:7]:
        found = explain(as_printed(dump, form, dtype))
        assert found.right, (name, found.calls)
        digits = f"{form[2]} {'decimals' if form[3] == 'f' else 'significant digits'}"
        assert f"the results have {digits}" in str(found)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "name", ["gates i o f g (ONNX)", "h_n and c_n exchanged", "rows by direction", "one step behind", "no bias_hh"]
)
def test_a_mistake_is_named_though_its_numbers_were_printed(form, name):
    case = BY_NAME[name]
    found = explain(as_printed(dump_of(case), form))
    assert explained.is_truth(case, tuple(entry["fault"] for entry in found.diagnosis)), found.diagnosis


@pytest.mark.parametrize("form", ["%.6f", "%.4f", "%.5f", "%.6g", "%.2f"])
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn_tanh"])
def test_four_right_numbers_that_were_printed_pass(form, kind):
    p = explained.parameters(kind, 2, 2)
    x = explained.draw(np.random.default_rng(7), 1, 2, 2)
    dump = {"kind": kind, "x": x, **p, "output": explained.run(kind, p, x)["output"]}
    found = explain(as_printed(dump, form))
    assert found.right
    assert "and what half a unit of the arguments', which have as many, changes in them" in str(found)


def test_two_decimals_are_two():
    found = explain(as_printed(dump_of(Case("right", "lstm", ()), "usual"), "%.2f"))
    assert found.right
    assert "the results have 2 decimals" in str(found)


@pytest.mark.parametrize("form", ["%.4f", "%.5f", "%.5g"])
def test_arguments_that_were_printed_beside_full_results_are_told(form):
    dump = dump_of(Case("right", "lstm", ()), "usual")
    results = {n: dump[n] for n in ("output", "h_n", "c_n")}
    found = explain({**as_printed(dump, form), **results})
    assert not found.right
    assert found.diagnosis == ()
    digits = f"{form[2]} {'decimals' if form[3] == 'f' else 'significant digits'}"
    assert f"The arguments have {digits}: if the program computed with more, that explains the errors" in str(found)


def test_a_mistake_that_changes_nothing_in_a_call_is_not_its_cause():
    p = explained.parameters("lstm", 2, 2)
    x = explained.draw(np.random.default_rng(7), 1, 2, 2)
    output = explained.run("lstm", p, x)["output"]
    output[0, 0, 0] *= np.float32(1 + 4e-6)  # the forget gate and c_n are not seen in one step without a state
    found = explain({"kind": "lstm", "x": x, **p, "output": output}, seconds=2)
    assert not found.right
    assert found.diagnosis == ()


def test_printing_explains_half_a_unit_and_no_more():
    dump = as_printed(GOOD, "%.4f")
    output = dump["output"].copy()
    output[1, 0, 1] += 0.0004
    found = explain({**dump, "output": output})
    assert not found.right
    assert found.calls[0]["first_wrong"]["index"] == [1, 0, 1]


def test_arguments_of_few_digits_are_taken_as_they_are_where_the_results_have_more():
    coarse = {n: np.round(a, 2).astype(a.dtype) for n, a in GOOD.items() if isinstance(a, np.ndarray)}
    results = {n: np.round(np.float64(GOOD[n]), 6) for n in ("output", "h_n", "c_n")}
    assert not explain({**GOOD, **coarse, **results}, seconds=1.5).right


@pytest.mark.parametrize("number", [0, 3, 11])
def test_unknown_mistake_is_not_taken_for_another(number):
    name, dump = list(odd_dumps())[number]
    found = explain(dump, seconds=1.5)
    assert not found.right
    assert not found.diagnosis, name


def test_wrong_sign_of_one_number_is_the_first_wrong_one():
    output = GOOD["output"].copy()
    output[3, 1, 2] *= -1
    found = explain({**GOOD, "output": output}, seconds=0.5)
    (call,) = found.calls
    assert (call["wrong"], call["elements"]) == (1, 56)
    assert (call["first_wrong"]["name"], call["first_wrong"]["index"]) == ("output", [3, 1, 2])
    assert "output[3, 1, 2], layer 0, forward direction, step 3, sample 1, unit 2: got" in str(found)


# --- what is read -------------------------------------------------------------------------------------


def as_lists(dump):
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in dump.items()}


def test_flags_and_sizes_follow_from_the_shapes():
    dump = dump_of(Case("right", "gru", (), call={"D": 2, "L": 2}))
    turned = {**dump, **{n: np.swapaxes(dump[n], 0, 1) for n in ("x", "output")}}
    (call,) = explain(turned).calls
    for words in (
        "num_layers=2",
        "batch_first=True",
        "bidirectional=True",
        "input_size=3",
        "hidden_size=4",
        "T = 5, N = 2",
    ):
        assert words in call["described"]
    unbatched = {n: a[:, 0] if n in ("x", "output", "h_0", "h_n") else a for n, a in dump.items()}
    found = explain(unbatched)
    assert found.right
    assert "unbatched" in found.calls[0]["described"]


@pytest.mark.parametrize("given", ["output", "h_n", "c_n"])
def test_any_result_is_enough(given):
    dump = {n: a for n, a in GOOD.items() if n not in ("output", "h_n", "c_n") or n == given}
    assert explain(dump).right
    assert not explain({**dump, given: dump[given] + np.float32(1e-4)}, seconds=0.2).right


def test_calls_by_number_share_parameters():
    dump = dump_of(Case("right", "lstm", ()), calls=2)
    assert [call["call"] for call in explain(dump).calls] == ["0", "1"]
    wrong = {**dump, "1/h_n": -dump["1/h_n"]}
    assert [call["right"] for call in explain(wrong, seconds=0.2).calls] == [True, False]
    first = {n.removeprefix("0/"): a for n, a in dump.items() if not n.startswith("1/")}
    second = {n.removeprefix("1/"): a for n, a in dump.items() if n.startswith("1/")}
    assert explain([first, second]).right


class Tensor:
    """An array of a framework, which may refuse to become NumPy's."""

    def __init__(self, array=None):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        if self.array is None:
            raise RuntimeError("it requires grad")
        return self.array


def test_arrays_of_frameworks():
    assert explain({n: Tensor(a) if isinstance(a, np.ndarray) else a for n, a in GOOD.items()}).right
    with pytest.raises(BrokenDump, match=r"x: it does not become a NumPy array \(it requires grad\); convert it"):
        explain({**GOOD, "x": Tensor()})


def test_json_of_plain_lists_and_of_the_cases_form(tmp_path):
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(as_lists(GOOD)))
    assert explain(path).right
    in_form = {
        name: {"shape": list(a.shape), "divisor": 1, "data": a.ravel().tolist()} if isinstance(a, np.ndarray) else a
        for name, a in GOOD.items()
    }
    path.write_text(json.dumps(in_form))
    assert explain(path).right


def test_cell():
    rng = np.random.default_rng(3)
    p = {name.removesuffix("_l0"): a for name, a in explained.parameters("lstm", 3, 4).items()}
    x, h, c = (explained.draw(rng, 2, n) for n in (3, 4, 4))
    values = (p[name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    new_h, new_c = explained.step("lstm", x, h, c, *values, "", "")
    dump = {"kind": "lstm", **p, "x": x, "h": h, "c": c, "h_1": new_h, "c_1": new_c}
    assert explain(dump).right
    by_contract = {**p, "kind": "lstm", "x": x, "h_0": h, "c_0": c, "output": new_h, "c_n": new_c}
    assert explain(by_contract).right
    found = explain({**dump, "h_1": new_c, "c_1": new_h}, seconds=1)
    assert not found.right
    assert found.calls[0]["first_wrong"]["name"] == "c_1"  # c' is computed first


@pytest.mark.parametrize("framework", ["keras", "onnx", "flax_linen"])
def test_names_of_other_frameworks_are_read(framework):
    from conformance import layouts

    weights = layouts.Weights(*(GOOD[f"{n}_l0"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
    convert = getattr(layouts, f"to_{framework}")
    native = convert("lstm", [weights] if framework == "onnx" else weights)
    rest = {n: a for n, a in GOOD.items() if not n.startswith(("weight", "bias"))}
    found = explain({**rest, **native})
    assert found.right
    assert any(framework.partition("_")[0] in note.lower() for note in found.notes)


def test_transposed_weights_are_said():
    turned = {n: a.T if n.startswith("weight") else a for n, a in GOOD.items()}
    found = explain(turned)
    assert not found.right
    assert "Keras's kernels: transpose them" in str(found)
    assert found.remarks == ("read so, the numbers are the documented ones",)


# --- broken -------------------------------------------------------------------------------------------


def without(*names):
    return {n: a for n, a in GOOD.items() if n not in names}


BROKEN = {
    "kind is missing": without("kind"),
    "expected one of rnn_tanh": {**GOOD, "kind": "lstn"},
    "x is missing": without("x"),
    "output, h_n or c_n": without("output", "h_n", "c_n"),
    "weight_hh_l0 is missing": without("weight_hh_l0"),
    "bias_hh_l0 is missing beside": without("bias_hh_l0"),
    "c_0 is missing beside h_0": without("c_0"),
    "did you mean output": {**GOOD, "outptu": GOOD["output"]},
    "weight_ih_l0 is no": {**GOOD, "kind": "gru"},
    "takes 3": {**GOOD, "x": GOOD["x"][..., :2]},
    "h_0: got the shape": {**GOOD, "h_0": GOOD["h_0"][:, :1]},
    "weight_ih_l0: 48 of 48 numbers are NaN": {**GOOD, "weight_ih_l0": GOOD["weight_ih_l0"] * np.nan},
    "Python objects": {**GOOD, "x": np.array([None, 1], object)},
    "lists differ in length": {**GOOD, "x": [[1.0, 2.0], [3.0]]},
    "masked": {**GOOD, "output": np.ma.array(GOOD["output"])},
    "dtype: got 'float33'": {**GOOD, "dtype": "float33"},
    "arithmetic: got": {**GOOD, "arithmetic": "tf33"},
    "batch_first: h_0 has 2 samples, so x (5, 2, 3) is (T, N, I); set it to false": {**GOOD, "batch_first": True},
    "batch_first: got": {**GOOD, "batch_first": "perhaps"},
    "output: got the shape": {**GOOD, "output": GOOD["output"][..., :3]},
    "lengths: got 2 from 2 to 9": {**GOOD, "lengths": [9, 2]},
    "0/output": {**dump_of(Case("right", "gru", ()), calls=2), "output": GOOD["output"]},
    "holds nothing": {},
}  # fmt: skip
BROKEN["is that of no gru"] = BROKEN.pop("weight_ih_l0 is no")


@pytest.mark.parametrize("words", BROKEN)
def test_broken_dump_is_one_sentence(words):
    with pytest.raises(BrokenDump) as error:
        explain(BROKEN[words], seconds=0.3)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


FILES = {
    "empty": b"",
    "neither .npz nor JSON": b"\x00\x01\x02 nonsense",
    "line 1, column 2": b"{]",
    "no whole .npz": b"PK\x03\x04broken",
    "expected an object": b"3",
    "nested too deeply": b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "stands twice": b'{"x": [1], "x": [2]}',
}


@pytest.mark.parametrize("words", FILES)
def test_broken_file_names_itself(words, tmp_path):
    path = tmp_path / "dump.npz"
    path.write_bytes(FILES[words])
    with pytest.raises(BrokenDump) as error:
        explain(path)
    assert words in str(error.value)
    assert "dump.npz" in str(error.value)


def test_what_is_too_large_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "dump.npz"
    np.savez_compressed(path, **GOOD)
    monkeypatch.setattr("conformance.dumps.files.MAX_BYTES", 1000)
    with pytest.raises(BrokenDump, match="GB of arrays; dump one call of fewer samples and steps"):
        explain(path)
    monkeypatch.setattr("conformance.dumps.calls.MAX_NUMBERS", 10)
    with pytest.raises(BrokenDump, match="x: 5 steps of this layer are too many to judge"):
        explain(GOOD)


def test_object_arrays_are_never_unpickled(tmp_path):
    path = tmp_path / "dump.npz"
    np.savez(path, **without("x"), x=np.array([{"a": 1}], object))
    with pytest.raises(BrokenDump, match="x: this is an array of Python objects"):
        explain(path)


# --- the further call, and the command ------------------------------------------------------------------


def test_further_call_tells_the_possibilities_apart():
    p = explained.parameters("gru", 3, 4, bias=False)
    zero = {name.replace("weight", "bias"): np.zeros(12, np.float32) for name in p}
    x = explained.draw(np.random.default_rng(4), 1, 1, 3)
    wrong = BANK["gru-gates-r-z"].build().layer(conformance.LayerConfig("gru", 3, 4), {**p, **zero}).forward(x)
    found = explain({"kind": "gru", **p, **zero, "x": x, "output": wrong.output})
    assert not found.right
    assert "gru-gates-r-z" in [entry["fault"] for entry in found.diagnosis]
    assert len(found.diagnosis) > 1
    assert found.next_call is not None
    assert found.next_call["give"]
    numbers = [entry["number"] for entry in found.next_call["gives"]]
    assert len({None if n is None else round(n, 3) for n in numbers}) > 1
    assert "A further call would decide: give" in str(found)


PAGE = (Path(__file__).parents[1] / "docs" / "explain.md").read_text("utf-8")
PROGRAMS = {  # of the page: the section, the file, the command, the dump, and what is said of it
    "NumPy": ("dump.py", [sys.executable, "dump.py"], "dump.npz", "gru-update-inverted"),
    "C": ("dump.c", ["sh", "-c", "gcc -o dump dump.c -lm && ./dump"], "dump.json", "lstm-gates-i-o-f-g"),
    "JavaScript": ("dump.mjs", ["node", "dump.mjs"], "dump.json", "gru-gates-r-z"),
    "Keras": ("dump.py", [sys.executable, "dump.py"], "keras.npz", ""),
    "ONNX": ("dump.py", [sys.executable, "dump.py"], "onnx.npz", "gru-reset-before-product"),
}
NEEDS = {"C": lambda: which("gcc"), "JavaScript": lambda: which("node"), "Keras": lambda: find_spec("keras"),
         "ONNX": lambda: find_spec("onnxruntime")}  # fmt: skip


@pytest.mark.parametrize("section", PROGRAMS)
def test_programs_of_the_page_dump_what_it_says(section, tmp_path):
    if section in NEEDS and not NEEDS[section]():
        pytest.skip(f"{section} is not installed")
    name, run, dump, fault = PROGRAMS[section]
    code = re.search(rf"^## {section}\n.*?^```\w+\n(.*?)^```", PAGE, re.M | re.S)[1]
    (tmp_path / name).write_text(code)
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    found = explain(tmp_path / dump)
    assert [entry["fault"] for entry in found.diagnosis] == [fault] * bool(fault)
    assert found.right is not bool(fault)


def command(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "conformance", "explain", *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )


def test_command(tmp_path):
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    np.savez(good, **GOOD)
    np.savez(bad, **dump_of(BY_NAME["gates f i g o"]))
    assert command(good).returncode == 0
    told = command(bad, "--format", "json")
    assert told.returncode == 1
    document = json.loads(told.stdout)
    assert document["verdict"] == "wrong"
    assert document["diagnosis"][0]["fault"] == "lstm-gates-f-i"
    missing = command(tmp_path / "none.npz")
    assert missing.returncode == 2
    assert "none.npz: it cannot be read" in missing.stderr
    assert missing.stderr.count("\n") == 1


def test_function_of_the_package_imports_no_framework():
    code = (
        "import sys; from conformance import explain; print([m for m in ('torch', 'onnx', 'jax') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"output": GOOD["output"] * 0}, "All of output is 0."),
        ({"output": np.where(GOOD["output"] > 0.3, np.nan, GOOD["output"])}, "numbers of output are NaN or infinite."),
        ({"output": GOOD["output"] * 2}, "All of h_n and c_n are right, the rest is not: the steps are"),
        ({"output": np.concatenate([GOOD["output"][:2], -GOOD["output"][2:]])}, "output[2, 0, 0]"),
        ({n: GOOD[n].astype(np.float16).astype(np.float32) for n in ("output", "h_n")}, "with results in float16"),
        ({"dtype": "float64"}, "with results in float32"),
    ],
)
def test_clues_where_no_mistake_is_known(changed, words):
    found = explain({**GOOD, **changed}, seconds=0.3)
    assert not found.right
    assert words in str(found)


def test_shapes_are_explained_and_numbers_too():
    found = explain({**GOOD, "h_n": GOOD["h_n"][0]}, seconds=0.5)
    assert [entry["fault"] for entry in found.diagnosis] == ["axis-of-one-missing"]
    both = dump_of(BY_NAME["gates f i g o"])
    found = explain({**both, "h_n": both["h_n"][0]})
    assert [entry["fault"] for entry in found.diagnosis] == ["axis-of-one-missing", "lstm-gates-f-i"]
    transposed = {name: a.T if name.startswith("weight") else a for name, a in both.items()}
    found = explain(transposed)
    assert [entry["fault"] for entry in found.diagnosis] == ["keras-kernels", "lstm-gates-f-i"]
    assert found.certain == 1
