"""``python -m conformance check``: each problem of an adapter gets a sentence that says what to do."""

import os
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

import reference
from conformance import Backend, Cell, Features, Layer, Unsupported
from conformance.__main__ import main
from conformance.backends.checked import CheckedBackend
from conformance.backends.exec_protocol import ExecBackend
from conformance.backends.oracle import OracleBackend
from conformance.start.attempts import attempts
from tests.test_plugin import ROOT

GRU = Features(kinds={"gru"})
EVERYTHING = Features(cells=True, parameters=True, gradients=True, dropout=True, initialization=True)
ONE_LAYER = replace(GRU, multilayer=False, bidirectional=False, projection=False, lengths=False, unbatched=False)


def tried(backend):
    """Return the sentences about a backend and the remarks, in this process."""
    found = [a.answer(backend, lambda what: nullcontext()) for a in attempts(backend.features)]
    return list(dict.fromkeys(amiss.sentence for one in found for amiss in one.amiss)), [
        n for f in found for n in f.notes
    ]


def sentences(backend):
    return tried(backend)[0]


class Wrapped(Layer):
    """The oracle's layer with one method exchanged."""

    def __init__(self, layer, config, parameters):
        self.layer, self.config, self.loaded = layer, config, parameters

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        return self.layer.forward(x, h_0, c_0, lengths)

    def parameters(self):
        self.claim("parameters")
        return self.layer.parameters()

    def gradients(self, *arguments):
        self.claim("gradients")
        return self.layer.gradients(*arguments)

    def forward_training(self, *arguments, seed):
        self.claim("dropout")
        return self.layer.forward_training(*arguments, seed=seed)

    def claim(self, feature):
        if not self.claims.claims(feature):
            raise Unsupported(f"no {feature}")


def backend_of(layer_class=Wrapped, features=GRU, **attributes):
    """Return the oracle as a backend that claims the features, with layers of that class."""

    class Made(OracleBackend):
        name, version = "made", "1"

        def layer(self, config, parameters):
            config.validate()
            reference.check_parameters(config, parameters)
            CheckedBackend.refuse_unclaimed(self, config)
            made = layer_class(OracleBackend.layer(self, config, parameters), config, parameters)
            made.claims = self.features
            return made

        def cell(self, config, parameters):
            if not self.features.cells:
                raise Unsupported("no cells")
            CheckedBackend.refuse_unclaimed(self, config)
            return OracleBackend.cell(self, config, parameters)

        def initial_parameters(self, config, *, seed):
            if not self.features.initialization:
                raise Unsupported("no initialization")
            return OracleBackend.initial_parameters(self, config, seed=seed)

    Made.features = features
    for name, value in attributes.items():
        setattr(Made, name, value)
    return Made()


def forward(change):
    """Return a class of layers whose result ``change(layer, result, x)`` replaces."""

    class Changed(Wrapped):
        def forward(self, *arguments):
            return change(self, self.layer.forward(*arguments), arguments[0])

    return Changed


@pytest.mark.parametrize(
    "backend",
    [
        OracleBackend(),
        backend_of(),
        backend_of(features=EVERYTHING),
        backend_of(features=replace(EVERYTHING, dtypes={"float16", "bfloat16"})),
        backend_of(features=Features(layers=False, cells=True, kinds={"gru", "lstm"})),
        backend_of(
            features=replace(EVERYTHING, hidden_sizes={16}, input_sizes={8}, by_kind={"gru": {"lengths": False}})
        ),
        ExecBackend(f"{sys.executable} {ROOT}/examples/exec_adapter.py"),
    ],
    ids=["oracle", "gru", "everything", "half precision", "cells alone", "sizes", "program"],
)
def test_nothing_is_amiss_with_a_right_adapter(backend):
    found, notes = tried(backend)
    assert found == []
    assert all(note.endswith("you could claim lengths=True") for note in notes)


def test_a_right_adapter_that_refuses_more_than_it_claims_not_to_do_is_told():
    class Refuses(Wrapped):
        def forward(self, x, h_0=None, c_0=None, lengths=None):
            if lengths is not None:
                raise Unsupported("no lengths")
            return self.layer.forward(x, h_0, c_0)

    assert sentences(backend_of(Refuses)) == [
        "forward raises Unsupported (no lengths) for lengths of gru, though that is claimed: "
        "do it, or claim lengths=False in Features."
    ]


def with_result(**changes):
    return forward(
        lambda layer, result, x: result._replace(**{name: f(getattr(result, name)) for name, f in changes.items()})
    )


RESULTS = {
    "forward: output has shape (3, 5, 6), expected (5, 3, 6), (T, N, O): that is (N, T, O): batch_first? "
    "Exchange its first two axes.": with_result(output=lambda a: a.swapaxes(0, 1).copy()),
    "forward: output has shape (3, 6), expected (5, 3, 6), (T, N, O): that is (N, O): the last step alone? "
    "Return every step.": with_result(output=lambda a: a[-1].copy()),
    "forward: h_n has shape (3, 6), expected (1, 3, 6), (D*L, N, O): that is (N, O): the axis of layers and directions "
    "is missing: h_n[None].": with_result(h_n=lambda a: a[0].copy()),
    "forward: output has dtype float64, expected float32: return output.astype('float32').": with_result(
        output=lambda a: a.astype(np.float64)
    ),
    "forward: output: got list, expected a NumPy array: return np.array(output, x.dtype).": with_result(
        output=lambda a: a.tolist()
    ),
    "forward: output: got a masked array, expected a plain NumPy array: what is under a mask is no number.": (
        with_result(output=np.ma.masked_array)
    ),
    "forward: output is None, expected an array of shape (5, 3, 6), (T, N, O): it is documented.": with_result(
        output=lambda a: None
    ),
    "forward: c_n is an array, expected None: only an lstm has it.": forward(
        lambda layer, result, x: result._replace(c_n=result.h_n)
    ),
    "forward returns a tuple of 2: return conformance.Result(output, h_n, c_n), c_n None unless lstm.": forward(
        lambda layer, result, x: (result.output, result.h_n)
    ),
    "forward returns None (is a return missing?): return conformance.Result(output, h_n, c_n), c_n None unless lstm.": (
        forward(lambda layer, result, x: None)
    ),
}


@pytest.mark.parametrize("sentence", RESULTS, ids=lambda text: text[:60])
def test_a_wrong_result_is_told(sentence):
    assert sentences(backend_of(RESULTS[sentence]))[0] == sentence


class FakeTensor:
    """Stand for a tensor of torch."""


FakeTensor.__module__ = "torch"


def test_a_tensor_is_told_with_the_way_to_an_array():
    sentence, *_ = sentences(backend_of(with_result(output=lambda a: FakeTensor()), ONE_LAYER))
    assert sentence.endswith("got FakeTensor, expected a NumPy array: return output.detach().cpu().numpy().")


def test_an_lstm_without_its_second_state_is_told():
    assert sentences(backend_of(with_result(c_n=lambda a: None), Features(kinds={"lstm"})))[0] == (
        "forward: c_n is None, expected an array of shape (1, 3, 6), (D*L, N, H): an lstm has two states."
    )


def test_states_with_samples_first_are_told():
    class Everywhere(Wrapped):
        def forward(self, *arguments):
            result = self.layer.forward(*arguments)
            several = self.config.num_layers > 1
            return (
                result._replace(h_n=result.h_n.swapaxes(0, 1).copy()) if several and arguments[0].ndim == 3 else result
            )

    assert sentences(backend_of(Everywhere))[0] == (
        "forward: h_n has shape (3, 2, 6), expected (2, 3, 6), (D*L, N, O): that is (N, D*L, O): states have no "
        "batch_first: exchange its first two axes."
    )


class WritesToX(Wrapped):
    def forward(self, x, *more):
        result = self.layer.forward(x, *more)
        x[...] = 0
        return result


class ReturnsTheState(Wrapped):
    def forward(self, x, h_0=None, c_0=None, lengths=None):
        result = self.layer.forward(x, h_0, c_0, lengths)
        if h_0 is None:
            return result
        before = h_0.copy()
        assert before.shape == result.h_n.shape
        return result._replace(h_n=h_0)


class OneBuffer(Wrapped):
    def forward(self, x, *more):
        result = self.layer.forward(x, *more)
        if not hasattr(self, "buffer") or self.buffer.shape != result.output.shape:
            self.buffer = result.output
        self.buffer[...] = result.output
        return result._replace(output=self.buffer)


class KeepsParameters(Wrapped):
    def forward(self, *arguments):
        return OracleBackend().layer(self.config, self.loaded).forward(*arguments)


class ReadsRawMemory(Wrapped):
    def forward(self, x, *more):
        flat = np.lib.stride_tricks.as_strided(x, x.shape, np.zeros(x.shape, x.dtype).strides)
        return self.layer.forward(flat.copy(), *more)


class CannotRead(Wrapped):
    def forward(self, x, *more):
        if not x.flags.writeable:
            raise ValueError("buffer source array is read-only")
        return self.layer.forward(x, *more)


@pytest.mark.parametrize(
    ("layer_class", "sentence"),
    [
        (WritesToX, "forward writes to the caller's x: copy it first, np.array(x)."),
        (ReturnsTheState, "forward: h_n shares memory with the argument h_0: return np.array(h_n)."),
        (OneBuffer, "forward: the next call overwrites output of an earlier one: return a copy, np.array(output)."),
        (
            KeepsParameters,
            "layer keeps the caller's parameters, and forward changes when the caller writes to them: copy them.",
        ),
        (
            ReadsRawMemory,
            "forward gives other numbers for an array with gaps between its elements, here x: "
            "take np.ascontiguousarray of it.",
        ),
        (
            CannotRead,
            "forward raises ValueError: buffer source array is read-only in test_check_command.py, line LINE for an "
            "array that is read-only, here x: do not write to it, take np.array(a) where the library needs to.",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_amiss_with_memory_is_told(layer_class, sentence):
    found = [re.sub(r"line \d+", "line LINE", one) for one in sentences(backend_of(layer_class))]
    assert sentence in found


class Raises(Wrapped):
    error = KeyError("weight")

    def forward(self, *arguments):
        raise self.error


def test_an_exception_is_told_with_its_place_and_nothing_is_repeated():
    first, *_ = sentences(backend_of(Raises))
    assert re.fullmatch(
        r"forward raises KeyError: 'weight' in test_check_command.py, line \d+, in a plain call of gru: the call is "
        r"valid and claimed\.",
        first,
    )


def test_what_is_not_claimed_and_raises_another_error_is_told():
    class NotImplementedYet(Wrapped):
        def forward(self, x, h_0=None, c_0=None, lengths=None):
            if lengths is not None:
                raise NotImplementedError
            return self.layer.forward(x, h_0, c_0)

    (sentence,) = sentences(backend_of(NotImplementedYet, replace(GRU, lengths=False)))
    assert re.sub(r"line \d+", "line LINE", sentence) == (
        "forward raises NotImplementedError: no message in test_check_command.py, line LINE where lengths is not "
        "claimed: raise conformance.Unsupported, as the call is valid."
    )


def test_what_is_not_claimed_and_computed_is_told_if_it_is_wrong_and_noted_if_it_is_right():
    class IgnoresLengths(Wrapped):
        def forward(self, x, h_0=None, c_0=None, lengths=None):
            return self.layer.forward(x, h_0, c_0)

    assert tried(backend_of(IgnoresLengths, replace(GRU, lengths=False))) == (
        [
            "forward computes lengths of gru, which is not claimed, and what comes is wrong: raise "
            "conformance.Unsupported, or compute it and claim lengths=True."
        ],
        [],
    )
    claimed, notes = tried(backend_of(features=replace(GRU, lengths=False)))
    assert claimed == []
    assert notes == ["lengths is not claimed, but computed, and right: you could claim lengths=True"]


def test_invalid_arguments_that_are_accepted_are_told():
    class Careless(Wrapped):
        def forward(self, x, h_0=None, c_0=None, lengths=None):
            x = x[..., : self.config.input_size].astype(self.config.dtype)
            return self.layer.forward(x, h_0, c_0, lengths)

    assert sentences(backend_of(Careless)) == [
        f"forward accepts {what}, which the documentation does not allow: raise an error, as "
        "reference.check_inputs(config, x, h_0, c_0, lengths) does, or leave it as the library's fault."
        for what in ("x of 8 features for input_size=7", "x of another dtype than the layer's")
    ]


def test_lengths_come_as_a_list_and_as_an_array():
    class TakesLists(Wrapped):
        def forward(self, x, h_0=None, c_0=None, lengths=None):
            if lengths is not None and not isinstance(lengths, list):
                raise TypeError("lengths must be a list")
            return self.layer.forward(x, h_0, c_0, lengths)

    (sentence,) = sentences(backend_of(TakesLists))
    assert "in lengths as a NumPy array" in sentence


class NeedsCotangents(Wrapped):
    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        d_h_n.sum()
        return self.layer.gradients(x, h_0, c_0, lengths, d_output, d_h_n, d_c_n)


class TakesNoneForOnes(Wrapped):
    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        d_output = np.ones((*x.shape[:2], 6), x.dtype) if d_output is None else d_output
        return self.layer.gradients(x, h_0, c_0, lengths, d_output, d_h_n, d_c_n)


class WithoutStates(Wrapped):
    def gradients(self, *arguments):
        found = dict(self.layer.gradients(*arguments))
        found.pop("h_0", None)
        return found


@pytest.mark.parametrize(
    ("layer_class", "words"),
    [
        (NeedsCotangents, "in d_h_n=None"),
        (TakesNoneForOnes, "gradients: d_output=None gives other gradients than zeros: None stands for zeros."),
        (
            WithoutStates,
            "gradients lacks h_0: the names are x, h_0, weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0.",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_amiss_with_gradients_is_told(layer_class, words):
    found = sentences(backend_of(layer_class, replace(GRU, gradients=True)))
    assert len(found) == 1
    assert words in found[0]


def test_parameters_in_another_order_or_with_other_names_are_told():
    class Sorted(Wrapped):
        def parameters(self):
            return dict(sorted(self.layer.parameters().items()))

    class Renamed(Wrapped):
        def parameters(self):
            return {name.replace("_l0", ""): a for name, a in self.layer.parameters().items()}

    claims = replace(ONE_LAYER, parameters=True)
    assert sentences(backend_of(Sorted, claims))[0].startswith("parameters: the order is bias_hh_l0, ")
    assert "parameters lacks weight_ih_l0" in sentences(backend_of(Renamed, claims))[0]


class Array(Cell):
    def __init__(self, cell):
        self.cell = cell

    def step(self, *arguments):
        return self.cell.step(*arguments)[0]


def test_a_cell_that_returns_its_state_alone_is_told():
    def cell(self, config, parameters):
        return Array(OracleBackend.cell(self, config, parameters))

    backend = backend_of(features=replace(GRU, cells=True), cell=cell)
    assert "step returns an array: return a tuple (h, c), c None unless lstm." in sentences(backend)


def test_an_empty_name_and_an_unknown_version_are_told():
    backend = backend_of(version="unknown")
    backend.asked_as = backend.name = "package.module:attribute"
    assert [sentence.partition(":")[0] for sentence in sentences(backend)] == [
        "the backend's name is empty",
        "the backend's version is not given",
    ]


def test_a_backend_that_is_no_subclass_lacks_the_methods_that_refuse():
    class Bare:
        def __init__(self, layer):
            self.forward = layer.forward

    class Loose(Backend):
        name, version, features = "loose", "1", ONE_LAYER

        def layer(self, config, parameters):
            made = backend_of(features=ONE_LAYER).layer(config, parameters)

            def forward(x, h_0=None, c_0=None, lengths=None):
                if x.ndim == 2 or lengths is not None:
                    raise Unsupported("batches")
                return made.forward(x, h_0, c_0, lengths)

            bare = Bare(made)
            bare.forward = forward
            return bare

    found = sentences(Loose())
    assert len(found) == 3
    assert all("or subclass conformance.Layer, which does." in sentence for sentence in found)


# --- the command ----------------------------------------------------------------------------------------


def check(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", "conformance", "check", *arguments]
    here = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=cwd, env=here)


def test_the_command_ends_with_the_command_to_run_next():
    name = f"exec:{sys.executable} {ROOT}/examples/exec_adapter.py"
    done = check(name)
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first == "plain-python 1: claims lstm, gru in float32, float64"
    assert re.fullmatch(
        rf"\d+ calls, nothing amiss: run pytest --pyargs conformance --backend '{re.escape(name)}' "
        r"--hypothesis-profile quick",
        last,
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:Backend", "module 'no_such_module' cannot be imported (ModuleNotFoundError"),
        ("tests.test_check_command:ROOT", "not a conformance.Backend"),
        ("exec:false", "the command ended with exit status 1 without an answer"),
    ],
)
def test_a_name_that_cannot_be_had_gets_one_sentence_and_status_4(name, words):
    done = check(name)
    assert (done.returncode, done.stdout) == (4, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_start_shows_the_standard_error_of_the_program(tmp_path):
    (tmp_path / "adapter.py").write_text("import sys\nsys.exit('cannot read weights.bin')\n")
    done = check(f"exec:{sys.executable} adapter.py", cwd=tmp_path)
    assert done.returncode == 4
    assert done.stderr.splitlines()[1:] == ["  its standard error:", "    cannot read weights.bin"]


def test_a_crash_is_told_and_not_suffered():
    done = check("tests.hostile:Segfaults")
    assert done.returncode == 1
    assert "- forward, a plain call of gru: the backend's process ended by signal 11 (SIGSEGV).\n" in done.stdout
    assert 'File "tests/hostile.py", line' in done.stdout


def test_a_hang_is_told_and_ends_the_calls():
    done = check("tests.hostile:Loops", "--timeout", "5")
    assert done.returncode == 1
    assert "gave no answer within 5 s and was killed: correct that first, further calls were not made." in done.stdout


def test_a_class_of_results_with_properties_is_taken():
    class Other:
        def __init__(self, result):
            self.output, self.h_n = result.output, result.h_n

    assert sentences(backend_of(forward(lambda layer, result, x: Other(result)))) == []


@pytest.mark.parametrize("command", [("explain",), ("cases", "lint"), ("init", "--lang", "python")])
def test_a_folder_without_permission_is_one_sentence(command, tmp_path, monkeypatch, capsys):
    stat = os.stat

    def denied(path, **options):
        if str(tmp_path) in str(path) and str(path) != str(tmp_path):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", denied)
    monkeypatch.setattr("sys.argv", ["conformance", *command, str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert re.search(
        r": no permission for \S+: change its rights or choose another\.$", capsys.readouterr().err.strip()
    )
