"""The generated cases: as generated, right on the oracle and torch, able to fail; the page's rates are true."""

import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from conformance.backends.oracle import OracleBackend
from conformance.cases import (
    CaseError,
    CaseHeader,
    check,
    check_read_back,
    default_directory,
    load_cases,
    replay,
)
from conformance.cases.coverage import NOT_CARRIED
from conformance.cases.lint import lint
from conformance.cases.load import case_of
from conformance.engine.compare import Failed
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import BANK
from reference import DTYPES, KINDS
from reference.precision import ARITHMETICS
from tests import case_kills

DIRECTORY = default_directory() / "generated"
CASES = {case.id: case for case in load_cases() if (DIRECTORY / f"{case.id}.json").is_file()}
NUMBERED = [name for name, case in CASES.items() if case.numbers]
KILLS = json.loads(case_kills.KILLS.read_text("utf-8"))
CAUGHT = KILLS["caught"]
FLOAT32 = ARITHMETICS["float32"]
# warnings about torch's choice of kernel and about NaN and infinity, which do not concern the results
pytestmark = [
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
    pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:dropout option adds dropout"),
]
# Invalid calls that torch accepts (docs/findings.md). Packed states with other rows end the process in its LSTM.
TORCH_TAKES = (
    "refuse-lengths-count", "refuse-lengths-float", "refuse-state-batch-lengths", "lstm-refuse-input-features-lengths",
    "lstm-refuse-state-rows-lengths", "lstm-refuse-state-size-lengths", "lstm-refuse-cell-state-dtype",
)  # fmt: skip


def verdict(case, dtype, backend):
    """Return the margin of a replay. Raises Failed, or the backend's error."""
    case = case.within(dtype)
    margin = check(case, replay(case, dtype, backend.layer, backend.cell), ARITHMETICS[dtype])
    check_read_back(case, dtype, backend.layer)
    return margin


@pytest.fixture(scope="module")
def generate():
    """Import cases/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", default_directory() / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The files


def test_there_are_as_many_files_as_were_chosen():
    assert len(set(DIRECTORY.iterdir())) == KILLS["vectors"]


def test_drift_of_numbers_and_of_tolerances_is_seen(generate):
    document = json.loads((DIRECTORY / f"{NUMBERED[0]}.json").read_text("utf-8"))
    name = next(iter(document["expect"]["numbers"]))
    for change in (
        lambda d: d["expect"]["numbers"][name]["data"].__setitem__(0, 0.25),
        lambda d: d["expect"]["allowed"]["float32"][name].__setitem__(0, 1e3),
        lambda d: d["requirements"].pop(),
        lambda d: d["expect"]["allowed"].pop("float32"),
    ):
        other = json.loads(json.dumps(document))
        change(other)
        assert not generate.same_but_last_bits(document, other)
        assert not generate.same_but_last_bits(other, document)
    other = json.loads(json.dumps(document))
    other["expect"]["allowed"]["float32"][name][0] *= 1.05  # as another machine may round
    assert generate.same_but_last_bits(document, other)


def test_they_are_small_and_numbers_read_back():
    paths = list(DIRECTORY.iterdir())
    assert sum(path.stat().st_size for path in paths) < 1_500_000
    for path in paths:
        document = json.loads(path.read_text("utf-8"))
        assert document["schema"] == 2
        for name, spec in document["expect"]["numbers"].items():
            right = CASES[path.stem].oracle[name].ravel()
            read = np.array([float(v) for v in spec["data"]])
            np.testing.assert_allclose(read, right, rtol=0, atol=1e-12)


# Replaying


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_oracle_passes(dtype):
    for case in CASES.values():
        margin = verdict(case, dtype, OracleBackend())
        assert margin is None or margin <= 1, case.id


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_passes(dtype):
    pytest.importorskip("torch").set_num_threads(1)
    from conformance.backends.torch_eager import TorchCPU

    backend = TorchCPU()
    for case in CASES.values():
        if not case.id.endswith(TORCH_TAKES):
            margin = verdict(case, dtype, backend)
            assert margin is None or margin <= 1, case.id


def test_a_case_in_a_dtype_in_which_its_inputs_are_not_exact():
    case = next(case for case in CASES.values() if case.dtypes == ("float32", "float64"))
    assert case.within("float32") is case
    rounded = case.within("float16")
    for name, values in rounded.arrays.items():
        assert np.array_equal(values, case.arrays[name].astype(np.float16).astype(np.float64))
    name = next(iter(case.numbers))
    assert not np.array_equal(rounded.numbers[name], case.numbers[name])


# Able to fail


@pytest.mark.parametrize("name", NUMBERED)
def test_every_expected_array_can_fail(name):
    case, backend = CASES[name], OracleBackend()
    results = replay(case, "float32", backend.layer, backend.cell)
    for result, right in case.numbers.items():
        for at in (0, right.size - 1):
            wrong = np.array(results[result], np.float64)
            by = 2.5 * case.allowed["float32"][result].flat[at] + 1e-12 * (1 + abs(right.flat[at]))
            wrong.flat[at] = right.flat[at] + by if np.isfinite(right.flat[at]) else 0.0
            with pytest.raises(Failed, match=f"{result}"):
                check(case, {**results, result: wrong}, FLOAT32)


def test_what_is_identical_must_have_the_same_bits():
    case = next(case for case in CASES.values() if "identical" in case.expect)
    results = replay(case, "float32", OracleBackend().layer, OracleBackend().cell)
    a, _ = case.expect["identical"][0]
    off = {**results, a: results[a] * np.float32(1 + 2.0**-23)}
    assert check(case, off, FLOAT32, deterministic=False) <= 1
    with pytest.raises(Failed, match="other bits"):
        check(case, off, FLOAT32)


def test_what_stays_within_must_not_leave():
    case = next(case for case in CASES.values() if "within" in case.expect)
    results = replay(case, "float32", OracleBackend().layer, OracleBackend().cell)
    name, (_, most) = next(iter(case.expect["within"].items()))
    beyond = results[name].copy()
    at = np.unravel_index(np.argmax(beyond), beyond.shape)
    beyond[at] = np.nextafter(np.float32(most), np.float32(2))
    with pytest.raises(Failed, match=name):
        check(case, {**results, name: beyond}, FLOAT32)


def test_a_refusal_that_is_accepted_fails_and_says_what():
    backend = BANK["any-input-accepted"].build()
    case = next(case for name, case in CASES.items() if name.endswith("refuse-input-rank"))
    with pytest.raises(Failed, match=r"x of one axis: accepted, and an output of shape .* came back; expected an err"):
        replay(case, "float32", backend.layer, backend.cell)


def test_what_may_come_instead_of_an_error_must_be_right():
    case = next(case for name, case in CASES.items() if name.endswith("refuse-parameters-dtype"))
    oracle = OracleBackend()

    class Casting(OracleBackend):
        factor = 1

        def layer(self, config, parameters):
            own = {n: v.astype(config.dtype) * self.factor for n, v in parameters.items()}
            return oracle.layer(config, own if parameters["weight_ih_l0"].dtype == "float64" else parameters)

    backend = Casting()
    assert check(case, replay(case, "float32", backend.layer, backend.cell), FLOAT32) <= 1
    backend.factor = np.float32(1.01)
    with pytest.raises(Failed, match="output"):
        check(case, replay(case, "float32", backend.layer, backend.cell), FLOAT32)


# The bank of faults


def test_at_least_95_percent_of_the_faults_are_noticed_in_every_kind():
    assert set(CAUGHT) == set(case_kills.SHOWN)
    assert sum(map(bool, CAUGHT.values())) >= 0.95 * len(CAUGHT)
    for kind in KINDS:
        of_kind = [kinds for fault, kinds in CAUGHT.items() if kind in BANK[fault].kinds]
        assert sum(kind in kinds for kinds in of_kind) >= 0.95 * len(of_kind), kind


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_the_faults_are_noticed_by_the_cases_that_are_named(kind):
    for fault, kinds in CAUGHT.items():
        if kind in kinds:
            assert case_kills.put_to(CASES[kinds[kind]], BANK[fault]), (fault, kinds[kind])


@pytest.mark.filterwarnings("ignore")
def test_what_is_told_to_survive_survives_and_says_why():
    page = case_kills.PAGE.read_text("utf-8")
    for fault, kinds in CAUGHT.items():
        for kind in set(BANK[fault].kinds) - set(kinds):
            assert f"| `{fault}` |" in page
            assert fault in case_kills.WHY, fault
            of_kind = [case for case in CASES.values() if case.kinds == {kind}]
            assert not any(case_kills.put_to(case, BANK[fault]) for case in of_kind), fault


def test_the_page_is_that_of_the_data():
    onnx = json.loads(case_kills.ONNX.read_text("utf-8"))
    size = sum(path.stat().st_size for path in DIRECTORY.glob("*.json"))
    assert case_kills.PAGE.read_text("utf-8") == "\n".join(case_kills.page(KILLS, onnx, size)) + "\n"


@pytest.mark.filterwarnings("ignore")
def test_every_requirement_is_carried_by_a_case_that_can_fail_it():
    """A case that carries the requirement notices a fault that fails the requirement in the suite."""
    matrix = json.loads(case_kills.MATRIX.read_text("utf-8"))
    for requirement in set(CATALOGUE) - set(NOT_CARRIED):
        failing = [fault for fault in case_kills.SHOWN if requirement in case_kills.failing(matrix, fault)]
        failing.sort(key=lambda f, r=requirement: BANK[f].requirement != r)
        having = sorted((c for c in CASES.values() if requirement in c.requirements), key=lambda c: len(c.program))
        assert any(case_kills.put_to(case, BANK[fault]) for fault in failing for case in having), requirement


# Lint


def test_the_cases_are_without_faults():
    count, faults = lint(default_directory(), CATALOGUE, whole=True)
    assert faults == []
    assert count == len(load_cases())


def test_what_data_cannot_carry_is_in_the_catalogue_and_in_no_case():
    assert set(NOT_CARRIED) <= set(CATALOGUE)
    assert not {r for case in CASES.values() for r in case.requirements} & set(NOT_CARRIED)


def linted(folder, *arguments):
    command = [sys.executable, "-m", "conformance", "cases", "lint", *([str(folder)] if folder else []), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_passes_on_the_cases_and_names_what_is_broken(tmp_path):
    done = linted(None)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(f"{len(load_cases())} case files")
    names = sorted(CASES)[:4]
    for name in names:
        shutil.copy(DIRECTORY / f"{name}.json", tmp_path)
    assert linted(tmp_path).returncode == 0
    changes = [
        lambda d: d["requirements"].append("NO-SUCH-THING"),
        lambda d: d["requirements"].append("INIT-NAMES"),
        lambda d: d.update(description="x" * 71),
    ]
    for name, change in zip(names, changes, strict=False):
        path = tmp_path / f"{name}.json"
        document = json.loads(path.read_text("utf-8"))
        change(document)
        path.write_text(json.dumps(document), "utf-8")
    (tmp_path / f"{names[3]}.json").write_text('{"id": ', "utf-8")
    done = linted(tmp_path)
    assert done.returncode == 1
    said = done.stdout.splitlines()
    assert len(said) == 4
    assert any("NO-SUCH-THING is none of the catalogue" in line for line in said)
    assert any("INIT-NAMES is none that a case can carry. What is drawn is random" in line for line in said)
    assert any("description: has 71 characters; shorten it to at most 70" in line for line in said)
    assert any("this is no JSON" in line for line in said)
    assert done.stderr.strip().endswith("4 faults in 4 case files.")


def test_a_requirement_that_no_case_has_is_named(tmp_path):
    """A folder with one case lacks nearly all requirements."""
    shutil.copy(DIRECTORY / f"{NUMBERED[0]}.json", tmp_path)
    assert lint(tmp_path, CATALOGUE, whole=False) == (1, [])
    _, faults = lint(tmp_path, CATALOGUE, whole=True)
    assert any(fault.startswith("REFUSE-INPUT-RANK: no case has this requirement") for fault in faults)
    assert not any(fault.startswith("INIT-NAMES") for fault in faults)


def test_no_folder_and_no_files_are_named(tmp_path):
    assert "no folder" in linted(tmp_path / "none").stderr
    assert "no case files here" in linted(tmp_path).stdout


def document_of(ending):
    name = next(name for name in CASES if name.endswith(ending))
    return json.loads((DIRECTORY / f"{name}.json").read_text("utf-8"))


def step_of(document, op):
    return next(step for step in document["program"] if step["op"] == op)


def gradient_name():
    return next(name for name, case in CASES.items() if any(s["op"] == "gradients" for s in case.program))


BROKEN = [
    ("refuse-input-dtype", lambda d: step_of(d, "refuse").pop("other_dtype"), r".*the documentation allows this .*"),
    ("refuse-input-dtype", lambda d: step_of(d, "refuse").pop("why"), r"program\[0\]: lacks 'why'; add it"),
    ("refuse-num-layers", lambda d: d["wrong_modules"]["wrong_0"].update(like="gru"), r"wrong_modules.*: like: .*"),
    ("refuse-num-layers", lambda d: d["wrong_modules"].update(layer={"like": "layer"}), r".*a module has this name.*"),
    ("refuse-num-layers", lambda d: step_of(d, "refuse").update(module="no"), r".*'no' is no layer or cell among.*"),
    ("refuse-samples-zero", lambda d: step_of(d, "refuse")["or"].update(output="no"), r".*or: expected known names.*"),
    (gradient_name(), lambda d: step_of(d, "gradients")["to"].update(weight_no="d_no"), r".*what has a gradient.*"),
    (gradient_name(), lambda d: d["expect"]["allowed"].pop("bfloat16"), r"expect.allowed: dtypes: expected .*"),
    (gradient_name(), lambda d: d["expect"]["allowed"]["float32"].popitem(), r".*all that is compared.*"),
    (gradient_name(), lambda d: d["needs"].update(dtypes=["float32"]), r"needs: dtypes: expected .*"),
    (gradient_name(), lambda d: d["arrays"]["x"].update(put=[[10**6, 1]]), r"arrays.x: put: .*"),
    (gradient_name(), lambda d: d["arrays"]["x"].update(put=[[0, "nan"]]), r"arrays.x.put.*\"nan\" should be .*"),
    (gradient_name(), lambda d: d["expect"].update(within={"no": [0, 1]}), r"expect: nothing is called 'no'.*"),
    ("refuse-input-rank", lambda d: d["program"].clear(), r"program: .*"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "message"), BROKEN, ids=[f"{k}-{b[0]}" for k, b in enumerate(BROKEN)])
def test_a_broken_file_is_named_in_one_sentence(name, change, message):
    document = document_of(name)
    change(document)
    with pytest.raises(CaseError, match=f"a.json: {message}") as caught:
        case_of(document, "a.json")
    assert "\n" not in str(caught.value)


def test_training_whose_numbers_depend_on_what_is_drawn_is_no_case():
    document = document_of("training-zero")
    document["modules"]["layer"]["layer"]["dropout"] = 0.5
    with pytest.raises(CaseError, match="seed: expected a dropout of 0 or 1, or later layers that see nothing"):
        case_of(document, "a.json")


# Another language


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_javascript_replays_them_from_their_json_alone(tmp_path):
    script = default_directory().parent / "examples" / "replay_cases.mjs"
    done = subprocess.run(["node", str(script), str(DIRECTORY)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    passed, failed = (int(part.split()[0]) for part in done.stdout.split(", ")[:2])
    assert passed > 30
    assert failed == 0
    name = next(name for name in NUMBERED if name.startswith(("lstm-forward", "gru-forward")))
    path = tmp_path / f"{name}.json"
    document = json.loads((DIRECTORY / path.name).read_text("utf-8"))
    data = next(iter(document["expect"]["numbers"].values()))["data"]
    data[0] += 1e-13
    path.write_text(json.dumps(document), "utf-8")
    done = subprocess.run(["node", str(script), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{name}.json: output")


def test_the_file_of_a_case_is_found_where_it_lies():
    from conformance.specifications.torch_nn.suite.test_cases import path_of

    name = f"{NUMBERED[0]}.json"
    assert path_of(CaseHeader.of(DIRECTORY / name)) == f"cases/generated/{name}"
    assert path_of(CaseHeader.of(default_directory() / "rnn-10-20-2.json")) == "cases/rnn-10-20-2.json"
