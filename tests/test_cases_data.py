"""Cases from real use: as generated, right on the oracle and torch.nn, able to fail; errors name broken files."""

import importlib.util
import json
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from conformance.backends.oracle import OracleBackend
from conformance.cases import (
    CaseError,
    CaseHeader,
    Expected,
    check,
    check_read_back,
    default_directory,
    expected,
    fill,
    load_case,
    load_cases,
    replay,
)
from conformance.cases.load import case_files
from conformance.engine.compare import Failed
from conformance.specifications.torch_nn.suite.test_cases import CaseCheck
from reference import DTYPES
from reference.precision import ARITHMETICS
from tests.harness import subject_of

CASES = {case.id: case for case in load_cases() if (default_directory() / f"{case.id}.json").is_file()}
MATCHING = [name for name, case in CASES.items() if case.verdict == "match"]
FLOAT32 = ARITHMETICS["float32"]
# torch's remarks on its choice of kernel, which do not concern the results
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def torch_cpu():
    pytest.importorskip("torch").set_num_threads(1)
    from conformance.backends.torch_eager import TorchCPU

    return TorchCPU()


@pytest.fixture(scope="module")
def generate():
    """Import cases/generate.py as a module."""
    path = default_directory() / "generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tampered(case, results, name, factor=1.0 + 3e-5):
    """Return the results with one array multiplied by ``factor``."""
    return {**results, name: results[name].astype(np.float64) * factor}


# The files


def test_same_but_last_bits_sees_every_other_change(generate):
    same = generate.same_but_last_bits
    assert same({"a": [1.0, 2]}, {"a": [1.0 + 1e-15, 2]})
    for other in ({"a": [1.0 + 1e-12, 2]}, {"a": [1.0, 3]}, {"a": [1.0]}, {"b": [1.0, 2]}, {"a": [1.0, True]}):
        assert not same({"a": [1.0, 2]}, other)


def test_the_generator_finds_stale_and_unknown_files(generate, tmp_path, monkeypatch, capsys):
    """Of two cases: tests/test_regenerate.py compares all of them."""
    names = ("memory-exercise", "rnn-10-20-2", "schema")
    (tmp_path / "cases").mkdir()
    for name in names:
        shutil.copy(default_directory() / f"{name}.json", tmp_path / "cases")
    whole = generate.with_allowed
    monkeypatch.setattr(generate, "with_allowed", lambda case: whole(case) if case["id"] in names else case)
    documents = [document for document in generate.documents() if document["id"] in names]
    assert len(documents) == 2
    monkeypatch.setattr(generate, "documents", lambda: iter(documents))
    monkeypatch.setattr(generate, "generated", lambda: iter(()))
    monkeypatch.setattr(generate, "HERE", tmp_path / "cases")
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 0
    stale = tmp_path / "cases" / "rnn-10-20-2.json"
    right = stale.read_text("utf-8")
    stale.write_text(right.replace("PARAM-ORDER", "PARAM-NAME"), "utf-8")
    (tmp_path / "cases" / "old.json").write_text("{}", "utf-8")
    capsys.readouterr()
    assert generate.main() == 1
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if not line.startswith("unchanged")] == [
        "STALE     rnn-10-20-2.json",
        "UNKNOWN   old.json: no case of this script; remove it",
    ]
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert generate.main() == 0
    assert "PARAM-ORDER" in stale.read_text("utf-8")
    (tmp_path / "cases" / "old.json").unlink()
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 0  # up to the last digits: tanh and BLAS differ between machines


def test_an_installed_package_has_its_cases_inside(tmp_path, monkeypatch):
    from conformance.cases import load as module

    monkeypatch.setattr(module, "__file__", str(tmp_path / "conformance" / "cases" / "load.py"))
    assert default_directory() == tmp_path / "cases"
    (tmp_path / "conformance" / "_cases").mkdir(parents=True)
    assert default_directory() == tmp_path / "conformance" / "_cases"


def test_descriptions_are_short_and_unique():
    descriptions = [case.description for case in CASES.values()]
    assert len(set(descriptions)) == len(descriptions)
    assert max(map(len, descriptions)) <= 70


def test_the_inputs_are_exact_in_every_dtype():
    from reference import numpy_dtype

    for case in CASES.values():
        arrays = [*case.arrays.values(), *(p for m in case.modules.values() for p in m.parameters.values())]
        for values in arrays:
            for dtype in DTYPES:
                assert np.array_equal(values.astype(numpy_dtype(dtype)).astype(np.float64), values), (case.id, dtype)


def test_the_fill_rule_is_the_one_the_readme_gives():
    def integer(i, seed, limit):
        a = (seed + i * 2654435769) % 2**32
        a = (a ^ (a >> 16)) * 2246822507 % 2**32
        a = (a ^ (a >> 13)) * 3266489909 % 2**32
        a = a ^ (a >> 16)
        return a % (2 * limit + 1) - limit

    for seed, limit in ((0, 1), (1, 255), (2**32 - 1, 148)):
        assert fill(300, seed, limit).tolist() == [integer(i, seed, limit) for i in range(300)]
    first = re.search(
        r"Seed 1 and limit 255 begin: ([-\d, ]+)\.", (default_directory() / "README.md").read_text("utf-8")
    )
    assert [int(k) for k in first[1].split(",")] == fill(6, 1, 255).tolist()


def test_every_use_that_the_issue_names_is_there():
    assert set(CASES) >= {"digits-lstm", "memory-exercise", "memory-exercise-forget-rows-first"}
    shapes = {name: case.shapes for name, case in CASES.items()}
    for name in ("lstm-3-3-steps-and-whole", "gru-3-3-steps-and-whole"):
        assert [shapes[name][f"output_{t}"] for t in range(5)] == [(1, 1, 3)] * 5
        assert shapes[name]["output"] == (5, 1, 3)
    for name in ("lstm-100-20-4-bidirectional", "gru-100-20-4-bidirectional"):
        assert shapes[name]["h_n"][0] == 8
        assert sum(p.endswith("_reverse") for p in CASES[name].modules["layer"].parameters) == 16
    for name in ("rnncell-100-80-3-and-layer", "lstmcell-100-80-3-and-layer"):
        assert shapes[name]["output"] == shapes[name]["loop"] == (10, 3, 80)
    for name in ("lstm-23-256-windows", "lstm-23-256-windows-bidirectional"):
        assert shapes[name]["forecast"] == (100, 1, 1)


# Replaying


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_oracle_passes(name, dtype):
    backend = OracleBackend()
    results = replay(CASES[name], dtype, backend.layer, backend.cell)
    assert check(CASES[name], results, ARITHMETICS[dtype]) <= 1
    check_read_back(CASES[name], dtype, backend.layer)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_passes(name, dtype):
    backend = torch_cpu()
    results = replay(CASES[name], dtype, backend.layer, backend.cell)
    assert check(CASES[name], results, ARITHMETICS[dtype]) <= 1
    check_read_back(CASES[name], dtype, backend.layer)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_readmes_bound_holds_for_torch(dtype):
    backend = torch_cpu()
    bound = 64 * ARITHMETICS[dtype].u
    for name in MATCHING:
        case = CASES[name]
        results = replay(case, dtype, backend.layer, backend.cell)
        for result, right in case.numbers.items():
            off = np.abs(results[result].astype(np.float64) - right)
            assert np.all(off <= bound * np.maximum(1, np.abs(right))), (name, result)


def test_operations_without_a_layer_agree_with_torch():
    """NumPy's take, stack and linear agree with torch's embedding, indexing and Linear."""
    torch = pytest.importorskip("torch")
    case = CASES["lstm-embedding-tagger"]
    table = torch.tensor(case.arrays["table"])
    words = torch.nn.functional.embedding(torch.tensor([[0], [1], [2], [3], [0]]), table)
    assert np.array_equal(case.oracle["first_words"], words.numpy())
    linear = {name: torch.tensor(value) for name, value in case.modules["to_tags"].parameters.items()}
    rows = torch.tensor(case.oracle["first_output"])[:, 0]
    scores = torch.nn.functional.linear(rows, linear["weight"], linear["bias"])
    np.testing.assert_allclose(case.oracle["first_scores"], scores.numpy(), rtol=0, atol=1e-14)
    steps = CASES["lstm-3-3-steps-and-whole"].oracle
    joined = torch.cat([torch.tensor(steps[f"output_{t}"]) for t in range(5)])[:, 0]
    assert np.array_equal(steps["steps"], joined.numpy()[:, None])


# Able to fail


@pytest.mark.parametrize("name", MATCHING)
def test_every_expected_array_can_fail(name):
    case, backend = CASES[name], OracleBackend()
    results = replay(case, "float32", backend.layer, backend.cell)
    for result in case.numbers:
        with pytest.raises(Failed, match=result):
            check(case, tampered(case, results, result), FLOAT32)


@pytest.mark.parametrize("name", [name for name in CASES if "equal" in CASES[name].expect])
def test_every_equality_can_fail(name):
    case, backend = CASES[name], OracleBackend()
    results = replay(case, "float32", backend.layer, backend.cell)
    for a, b in case.expect["equal"]:
        other = a if a not in case.numbers else b
        if other not in case.numbers:  # stored results already fail by their numbers
            with pytest.raises(Failed, match=f"{a} .as against {b}."):
                check(case, tampered(case, results, other, 1.001), FLOAT32)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", [name for name in CASES if "different" in CASES[name].expect])
def test_every_difference_can_fail(name, dtype):
    case, backend = CASES[name], OracleBackend()
    results = replay(case, dtype, backend.layer, backend.cell)
    for a, b in case.expect["different"]:
        with pytest.raises(Failed, match="expected different ones"):
            check(case, {**results, a: results[b]}, ARITHMETICS[dtype])


def test_a_difference_that_rounding_may_close_is_not_required():
    case, backend = CASES["lstm-100-20-1-bidirectional"], OracleBackend()
    results = replay(case, "bfloat16", backend.layer, backend.cell)
    ((a, b),) = case.expect["different"]
    assert check(case, {**results, a: results[b]}, ARITHMETICS["bfloat16"]) < 1


def test_parameters_read_back_in_another_order_fail():
    class Shuffled:
        def __init__(self, config, parameters):
            self._parameters = dict(reversed(parameters.items()))

        def parameters(self):
            return self._parameters

    with pytest.raises(Failed, match="parameters of 'layer', in case rnn-10-20-2: got bias_hh_l1"):
        check_read_back(CASES["rnn-10-20-2"], "float32", Shuffled)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r._replace(output=r.output[:-1]), r"output of 'layer': got shape \(4, 3, 20\), expected shape"),
        (lambda r: r._replace(h_n=None), "h_n of 'layer': got None, expected shape"),
        (lambda r: r._replace(c_n=r.h_n), "c_n of 'layer': got shape .*, expected None"),
        (lambda r: r._replace(output=r.output.astype(np.float64)), "got dtype float64, expected float32"),
    ],
)
def test_results_of_a_wrong_form_fail(change, message):
    def layer(config, parameters):
        made = OracleBackend().layer(config, parameters)
        right = made.forward
        made.forward = lambda *arguments: change(right(*arguments))
        return made

    with pytest.raises(Failed, match=message):
        replay(CASES["gru-10-20-2"], "float32", layer, OracleBackend().cell)


def test_what_a_backend_writes_reaches_no_later_step():
    class Scribbling(OracleBackend):
        def layer(self, config, parameters):
            made = super().layer(config, parameters)
            right = made.forward

            def forward(x, *states):
                result = right(x, *states)
                x[...] = 0
                return result

            made.forward = forward
            return made

    case = CASES["lstm-3-3-steps-and-whole"]
    check(case, replay(case, "float32", Scribbling().layer, Scribbling().cell), FLOAT32)


# The digits


def test_the_digits_are_read_with_at_least_95_percent():
    case = CASES["digits-lstm"]
    classes = case.expect["classes"]
    assert np.argmax(case.numbers["logits"], axis=-1).tolist() == classes["classes"]
    accuracy = np.mean(np.argmax(case.numbers["logits"], axis=-1) == classes["labels"])
    assert accuracy == classes["accuracy"] >= 0.95
    assert f"{accuracy:.2%}" in case.notes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_can_change_no_digits_class(dtype):
    numbers, error = expected(CASES["digits-lstm"], ARITHMETICS[dtype])["logits"]
    possible = numbers + error >= np.max(numbers - error, axis=-1, keepdims=True)
    assert np.all(np.sum(possible, axis=-1) == 1)


def test_a_wrong_digits_class_fails():
    case = CASES["digits-lstm"]
    backend = OracleBackend()
    results = replay(case, "bfloat16", backend.layer, backend.cell)
    results["logits"] = results["logits"].copy()
    first = case.expect["classes"]["classes"][0]
    results["logits"][0, (first + 1) % 10] = 1e6
    with pytest.raises(Failed, match="logits"):
        check(case, results, ARITHMETICS["bfloat16"])


def test_the_digits_logits_are_those_of_a_torch_model():
    """A model written in torch, without this project's interpreter, gives the logits."""
    torch = pytest.importorskip("torch")
    case = CASES["digits-lstm"]
    lstm, linear = case.modules["lstm"], case.modules["classifier"]
    net = torch.nn.LSTM(8, lstm.arguments["hidden_size"], 2, batch_first=True, dtype=torch.float64)
    net.load_state_dict({name: torch.tensor(value) for name, value in lstm.parameters.items()})
    to_logits = torch.nn.Linear(lstm.arguments["hidden_size"], 10, dtype=torch.float64)
    to_logits.load_state_dict({name: torch.tensor(value) for name, value in linear.parameters.items()})
    with torch.no_grad():
        output, _ = net(torch.tensor(case.arrays["images"]))
        logits = to_logits(output[:, -1]).numpy()
    np.testing.assert_allclose(logits, case.numbers["logits"], rtol=0, atol=1e-12)


def test_the_digits_are_scikit_learns_unseen_fifth():
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.model_selection import train_test_split

    digits, case = datasets.load_digits(), CASES["digits-lstm"]
    _, images, _, labels = train_test_split(
        digits.images, digits.target, test_size=0.2, stratify=digits.target, random_state=20
    )
    assert np.array_equal(case.arrays["images"] * 16, images)
    assert case.expect["classes"]["labels"] == labels.tolist()


# The memory exercise


def test_the_memory_exercise_with_step_gates(generate):
    """Step gates and linear activations in plain Python give the figures of the exercise."""
    gates, memory, before, outputs = generate.MEMORY_GATES, 0, [], []
    for x in generate.MEMORY_INPUTS:
        i, f, g, o = (sum(w * v for w, v in zip(gates[name], x, strict=True)) for name in "ifgo")
        before.append(memory)
        memory = (f > 0) * memory + (i > 0) * g
        outputs.append((o > 0) * memory)
    assert before == [0, 0, 3, 3, 7, 7, 7, 0, 6]
    assert outputs == [0, 0, 0, 0, 0, 7, 0, 0, 6]


def test_the_memory_exercise_as_documented():
    output = CASES["memory-exercise"].numbers["output"].ravel()
    assert np.round(output, 4)[[5, 8]].tolist() == [0.9636, 0.7616]
    assert np.round(output).tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 1]


def test_the_forget_rows_first_give_what_rounds_to_the_same_ones():
    case = CASES["memory-exercise-forget-rows-first"]
    right, mistaken = case.numbers["output"].ravel(), case.oracle["output"].ravel()
    assert np.array_equal(right, CASES["memory-exercise"].numbers["output"].ravel())
    assert np.round(mistaken, 3)[[5, 8]].tolist() == [0.642, 0.642]
    assert np.array_equal(np.round(mistaken), np.round(right))
    assert [element["gives"] for element in case.expect["differs"]] == pytest.approx(mistaken[[5, 8]], abs=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_case_that_must_fail_fails(dtype):
    """As an ordinary case it fails; as it is, a backend that exchanges the two gates fails it."""
    case, backend = CASES["memory-exercise-forget-rows-first"], OracleBackend()
    results = replay(case, dtype, backend.layer, backend.cell)
    assert check(case, results, ARITHMETICS[dtype]) <= 1
    with pytest.raises(Failed, match=r"output\[\d, 0, 0\]"):
        check(CASES["memory-exercise"], results, ARITHMETICS[dtype])

    def exchanged(config, parameters):
        order = [1, 0, 2, 3]
        return backend.layer(config, {name: value[order] for name, value in parameters.items()})

    wrong = replay(case, dtype, exchanged, backend.cell)
    with pytest.raises(Failed, match="which these parameters must not give"):
        check(case, wrong, ARITHMETICS[dtype])
    with pytest.raises(Failed, match=r"got 0, expected 0\.642"):
        check(case, {**results, "output": np.zeros_like(results["output"])}, ARITHMETICS[dtype])


def test_a_case_that_must_fail_is_not_held_against_an_arithmetic_that_allows_both_numbers():
    """A right layer with 8 bits gave 0.576, 0.066 from its own number and 0.387 from the one of the exchanged gates."""
    case, backend = CASES["memory-exercise-forget-rows-first"], OracleBackend()
    results = replay(case, "float32", backend.layer, backend.cell)
    results["output"][5, 0, 0] = 0.576326013
    assert check(case, results, ARITHMETICS["int8-dynamic"]) <= 1
    with pytest.raises(Failed, match=r"got 0\.576326013, expected 0\.642"):
        check(case, results, FLOAT32)


# Tolerance


def test_the_tolerance_covers_the_glue_and_nothing_near_a_mistake():
    case = CASES["digits-lstm"]
    found = expected(case, FLOAT32)["logits"]
    assert isinstance(found, Expected)
    assert np.all(found.allowed > 0)
    assert np.max(found.allowed) < 3e-4  # logits reach 10


def test_a_result_that_only_relates_gets_the_oracles_numbers():
    found = expected(CASES["lstm-100-20-1"], FLOAT32)
    assert "last_h_n" not in CASES["lstm-100-20-1"].numbers
    assert np.array_equal(found["last_h_n"].numbers, CASES["lstm-100-20-1"].oracle["last_h_n"])


# Broken files


def broken(tmp_path, change, name="lstm-3-3-steps-and-whole"):
    """Return the error of a case file after ``change`` of its document or text."""
    source = default_directory() / f"{name}.json"
    path = tmp_path / source.name
    text = source.read_text("utf-8")
    document = json.loads(text)
    changed = change(document)
    path.write_text(changed if isinstance(changed, str) else json.dumps(document), "utf-8")
    with pytest.raises(CaseError) as caught:
        load_case(path)
    message = str(caught.value)
    assert message.startswith(f"{path.name}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path.name}: ")


def put(*path, value):
    """Return a change that puts the value at a path of the document."""

    def change(document):
        *way, last = path
        for part in way:
            document = document[part]
        document[last] = value

    return change


BROKEN = [
    (lambda d: '{"id": ', r"line 1, column 8: this is no JSON: .*; mend it"),
    (lambda d: '{"id": "a", "id": "b"}', r"the file: 'id' stands twice in one object; remove one of them"),
    (lambda d: '{"id": NaN}', r"the file: NaN is no JSON number; write a finite one"),
    (lambda d: "[]", r"the file: \[\] should be a case \(type: object\)"),
    (lambda d: d.pop("source") and None, r"the file: lacks 'source'; add it"),
    (put("sorce", value="x"), r"the file: holds 'sorce', which has no meaning here; remove or rename it"),
    (put("description", value="x" * 71), r"description: has 71 characters; shorten it to at most 70"),
    (put("id", value="Not So"), r"id: \"Not So\" should be the case's name.*"),
    (put("verdict", value="maybe"), r"verdict: \"maybe\" should be one of match, mismatch"),
    (put("verdict", value="mismatch"), r"expect: lacks 'differs'; add it"),
    (put("expect", "differs", value=[{"name": "h_n", "at": [0], "gives": 1}]), r"expect: .*without differs.*"),
    (put("arrays", "x", "data", value=[1]), r"arrays\.x: should hold exactly one of 'data', 'fill'"),
    (put("arrays", "x", value={"shape": [5, 1, 3], "divisor": 1, "data": [1, 2]}), r"arrays\.x: .*2 numbers.*15.*"),
    (put("arrays", "x", "divisor", value=3), r"arrays\.x\.divisor: 3 should be one of 1, 2, 4, .*"),
    (put("arrays", "x", "fill", "limit", value=2**24), r"arrays\.x\.fill\.limit: 16777216 .* \(maximum: 16777215\)"),
    (put("arrays", "x", "fill", "limit", value=300), r"needs: dtypes: expected float32, float64, float16, in which .*"),
    (put("arrays", "x", "shape", value=[5, 1, 4]), r"program\[1\]: x: expected 3 features \(input_size\), got .*"),
    (put("modules", "layer", "layer", "kind", value="elman"), r"modules\.layer\.layer\.kind: .* one of rnn_tanh.*"),
    (put("modules", "layer", "layer", "proj_size", value=3), r"modules\.layer: proj_size: expected an integer .*"),
    (
        put("modules", "layer", "parameters", 0, "shape", value=[9, 3]),
        r"modules\.layer: weight_ih_l0: expected shape.*",
    ),
    (put("modules", "layer", "parameters", 0, "name", value="w"), r"modules\.layer: parameters: expected all of .*"),
    (lambda d: d["modules"]["layer"]["parameters"].reverse(), r"modules\.layer: parameters: expected the order .*"),
    (put("program", 0, "from", value="y"), r"program\[0\]: no array is called 'y' so far; known are x, .*"),
    (put("arrays", "x", "shape", value=[5.0, 1, 3]), r"arrays\.x\.shape\[0\]: 5\.0 should be a size \(type: integer\)"),
    (put("program", 0, "to", value="x"), r"program\[0\]: 'x' has its meaning already; choose another name"),
    (
        put("program", 0, "indices", value=[5]),
        r"program\[0\]: indices: expected below 5, the length of the axis, got 5",
    ),
    (put("program", 0, "indices", value=[[0], 1]), r"program\[0\]: indices: the inner lists differ in length; .*"),
    (put("program", 0, "axis", value=3), r"program\[0\]: axis: expected below 3, the number of axes of 'x', got 3"),
    (put("program", 0, "op", value="sort"), r"program\[0\]\.op: \"sort\" should be one of layer, cell, .*"),
    (put("program", 1, "module", value="lstm"), r"program\[1\]: 'lstm' is no layer among the modules; known are layer"),
    (put("program", 1, "from", value={"x": "x_0", "h_0": "h_start"}), r"program\[1\]: c_0: expected both .*"),
    (put("expect", "numbers", "h_n", "shape", value=[3]), r"expect\.numbers\.h_n: shape: expected \[1, 1, 3\].*"),
    (put("expect", "numbers", "h_n", "data", value=[1.5]), r"expect\.numbers\.h_n: data holds 1 numbers, .* 3; .*"),
    (put("expect", "numbers", "y", value={"shape": [1], "data": [1]}), r"expect\.numbers\.y: nothing is called 'y'.*"),
    (put("expect", "equal", value=[["h_n", "y"]]), r"expect: nothing is called 'y'; known are .*"),
    (put("expect", "equal", value=[["h_n", "output"]]), r"expect: equal: expected 'h_n' and 'output' of one shape, .*"),
    (put("expect", "parameters", value=["gru"]), r"expect: parameters: expected one of the layers layer, got 'gru'"),
    (put("needs", "features", value=[]), r"needs: features: expected initial_state, by the modules and .*, got \[\]"),
    (put("needs", "kinds", value=["gru"]), r"needs: kinds: expected lstm, by the modules and .*"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN, ids=[message[:40] for _, message in BROKEN])
def test_a_broken_file_is_named_in_one_sentence(tmp_path, change, message):
    assert re.fullmatch(message, broken(tmp_path, change))


def test_broken_expectations_of_other_cases(tmp_path):
    message = broken(tmp_path, put("expect", "classes", "classes", value=[3]), "digits-lstm")
    assert message == "expect: classes: expected 360 classes, one a row, got 1"
    far = [{"name": "output", "at": [9, 0, 0], "gives": 1}]
    message = broken(tmp_path, put("expect", "differs", value=far), "memory-exercise-forget-rows-first")
    assert message == "expect: differs: expected an index into 'output' of shape [9, 1, 1], got [9, 0, 0]"
    message = broken(tmp_path, put("program", 0, "to", "c_n", value="c"), "rnn-10-20-2")
    assert message == "program[0]: 'c' is a cell state, which rnn_tanh has not"
    message = broken(tmp_path, put("modules", "classifier", "linear", "in_features", value=3), "digits-lstm")
    assert message.startswith("modules.classifier: parameters: expected weight (10, 3), bias (10,), got ")


def test_cases_that_clash_are_named(tmp_path):
    source = default_directory() / "memory-exercise.json"
    document = json.loads(source.read_text("utf-8"))
    (tmp_path / "a.json").write_text(json.dumps(document | {"id": "a"}), "utf-8")
    (tmp_path / "b.json").write_text(json.dumps(document | {"id": "b"}), "utf-8")
    with pytest.raises(CaseError, match=r"b\.json: description: 'An LSTM .*' is that of a\.json, too; choose another"):
        load_cases(tmp_path)
    (tmp_path / "b.json").write_text(json.dumps(document | {"id": "a", "description": "another"}), "utf-8")
    with pytest.raises(CaseError, match=r"b\.json: id: 'a' is that of a\.json, too; choose another"):
        load_cases(tmp_path)
    (tmp_path / "b.json").write_text(json.dumps(document | {"id": "c", "description": "another"}), "utf-8")
    with pytest.raises(CaseError, match=r"b\.json: id: 'c' is not the file's name; rename one of them"):
        load_cases(tmp_path)


def test_a_folder_without_cases_is_named(tmp_path):
    with pytest.raises(CaseError, match=r"no case files here; name a folder of \.json cases"):
        load_cases(tmp_path)


def test_text_that_is_no_utf_8_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"id": "\xff"}')
    with pytest.raises(CaseError, match=r"a\.json: line 1, byte 8: this is no UTF-8; save the file as UTF-8"):
        load_case(path)


@pytest.mark.parametrize("text", ['{"arrays": 3}', "{", '{"id": "x"}', "[]"])
def test_a_broken_case_that_is_said_to_fit_is_told_as_any_other(text, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(text)
    told = []
    for fits in (False, True):
        with pytest.raises(CaseError) as raised:
            load_case(path, fits=fits)
        told.append(str(raised.value))
    assert told[0] == told[1]


@pytest.mark.parametrize("text", ['{"arrays": 3}', "{", '{"id": "x"}', "[]"])
def test_a_header_of_no_case_is_told_as_the_case_is(text, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(CaseError) as of_case:
        load_case(path)
    with pytest.raises(CaseError, match=re.escape(str(of_case.value))):
        CaseHeader.of(path)


@pytest.mark.parametrize("path", case_files(default_directory()), ids=lambda path: path.stem)
def test_the_suites_own_cases_fit_the_schema_and_their_headers(path):
    """The suite itself reads the headers alone: its start would take four times as long."""
    case, header = load_case(path), CaseHeader.of(path)
    for name in ("id", "description", "source", "requirements", "kinds", "features", "dtypes", "program"):
        assert getattr(header, name) == getattr(case, name)
    calls = [s for s in case.program if s["op"] in ("layer", "gradients") and s["module"] not in case.wrong]
    steps = [0]
    for call in calls:
        shape, arguments = case.shapes[call["from"]["x"]], case.modules[call["module"]].arguments
        steps.append(shape[1] if arguments["batch_first"] and len(shape) == 3 else shape[0])
    assert header.steps == max(steps)
    assert header.refuses_only == (not case.compared)
    assert header.layers == any(module.type == "layer" for module in case.modules.values())
    right = [m for name, m in case.modules.items() if name not in case.wrong and m.type != "linear"]
    assert set(header.sizes) == {(m.arguments["input_size"], m.arguments["hidden_size"]) for m in right}


def test_a_case_whose_arrays_are_broken_is_no_failure_of_the_backend(tmp_path):
    """Its header can be read; what is wrong is told where the case is replayed."""
    document = json.loads((default_directory() / "memory-exercise.json").read_text("utf-8"))
    document["arrays"]["x"]["shape"] = [1, 2]
    path = tmp_path / "memory-exercise.json"
    path.write_text(json.dumps(document), "utf-8")
    check = CaseCheck(CaseHeader.of(path))
    with pytest.raises(CaseError, match=r"memory-exercise\.json: arrays\.x: data holds"):
        check.run(SimpleNamespace(subject=subject_of(OracleBackend(), "lstm")), None)
