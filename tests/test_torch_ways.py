"""Ways in for users of torch: every function of ``conformance.torch``, from the folder of another project."""

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.test_plugin import ROOT

torch = pytest.importorskip("torch")

from conformance import LayerConfig, Unsupported, registry, run  # noqa: E402
from conformance.runs.api import importable_name  # noqa: E402
from conformance.torch import cell_backend, function_backend, module_backend, torch_nn_backend  # noqa: E402
from tests import torch_modules  # noqa: E402
from tests.torch_modules import GatesGRU, MyLSTM, Step, my_gru  # noqa: E402

BACKENDS = """
from conformance.torch import cell_backend, function_backend, module_backend, torch_nn_backend
import my

GATES = {
    "weight_ih_l0": "x2h.{r,z,n}.T", "weight_hh_l0": "h2h.{r,z,n}.weight",
    "bias_ih_l0": "bias[r,n,z]", "bias_hh_l0": "h2h.{r,z,n}.bias",
}
EXCHANGED = {name: value.replace("r,z", "z,r").replace("r,n,z", "z,n,r") for name, value in GATES.items()}

MyLSTM = module_backend(my.MyLSTM, kinds="lstm")
Output = module_backend(my.OutputLSTM, kinds="lstm")
Last = module_backend(my.LastLSTM, kinds="lstm")
Gates = module_backend(my.GatesGRU, kinds="gru", names=GATES, unbatched=False)
Exchanged = module_backend(my.GatesGRU, kinds="gru", names=EXCHANGED, unbatched=False)
Wrapped = module_backend(my.Wrapped, kinds="lstm")
Swapped = module_backend(my.SwappedLSTM, kinds="lstm")
SwappedOutput = module_backend(my.SwappedOutputLSTM, kinds="lstm")
Step = cell_backend(my.Step, kinds="lstm")
SameStep = cell_backend(my.SameStep, kinds="lstm")
MyGRU = function_backend(my.my_gru, kinds="gru")
Detached = function_backend(my.detached_gru, kinds="gru")
GRU = torch_nn_backend("gru", proves="aten::gru.input")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return the folder of another project with its modules and its backends."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(torch_modules.__file__, folder / "my.py")
    (folder / "ways.py").write_text(BACKENDS)
    return folder


def terminal(project, *arguments):
    """Run pytest in the folder of the project; return its status and its output."""
    options = ("-p", "conformance.plugin", "-p", "no:cacheprovider", "--conformance-processes", "1", "-q")
    command = [sys.executable, "-m", "pytest", *options, "--pyargs", "conformance", *arguments]
    path = f"{ROOT}{':'}{project}"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HOME": str(project)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


SMOKE = ("--hypothesis-profile", "smoke")


def test_right_modules_conform(project):
    names = ("MyLSTM", "Gates", "MyGRU", "Step")
    given = [part for name in names for part in ("--backend", f"ways:{name}")]
    status, printed = terminal(project, *given, *SMOKE, "--shard", "1/5")
    assert status == 0, printed
    assert printed.count("conforms in all that it claims") == len(names)


def test_modules_that_return_less_are_taken_for_what_they_give(project):
    backends = [part for name in ("Output", "Last", "Wrapped") for part in ("--backend", f"ways:{name}")]
    status, printed = terminal(project, *backends, *SMOKE, "--shard", "1/8")
    assert status == 0, printed
    assert f"OutputLSTM (torch {torch.__version__}, output alone)" in printed
    assert f"LastLSTM (torch {torch.__version__}, last state alone)" in printed


def test_wrong_modules_fail_and_the_fault_is_named(project):
    wrong = {
        "Swapped": ("LSTM-GATE-ORDER (lstm float32)", "blocks are ordered f|i|"),
        "SwappedOutput": ("LSTM-GATE-ORDER (lstm float32)", "blocks are ordered f|i|"),
        "Exchanged": ("GRU-GATE-ORDER (gru float32)", "ordered z|r|h, as ONNX and Keras"),
        "SameStep": ("CELL-EQUATION (lstm float32)", "an LSTM whose c_n is h_n"),
        "Detached": ("GRADIENT-WEIGHT-HH (gru float32)", "gradient of weight_hh_l0"),
    }
    backends = [part for name in wrong for part in ("--backend", f"ways:{name}")]
    chosen = " or ".join({requirement.partition(" ")[0] for requirement, _ in wrong.values()})
    status, printed = terminal(project, *backends, *SMOKE, "--diagnosis", "10", "-k", chosen)
    assert status == 1, printed
    for requirement, said in wrong.values():
        assert f"FAILED {requirement}" in printed
        assert said in printed


# --- torch:package.module:attribute ------------------------------------------------------------------


def test_a_class_is_named_on_the_command_line(project):
    status, printed = terminal(project, "--backend", "torch:my:MyLSTM", *SMOKE, "-k", "LSTM-EQUATION or STATE-INITIAL")
    assert status == 0, printed
    assert "MyLSTM" in printed


def test_the_kind_and_the_command_that_repeats_a_failure(project):
    shutil.copy(project / "my.py", project / "other.py")
    with (project / "other.py").open("a") as file:
        file.write("\n\nModel = SwappedLSTM\n")
    asked = ("--backend", "torch:other:Model", *SMOKE, "--diagnosis", "off")
    status, printed = terminal(project, *asked, "--kind", "lstm", "-k", "LSTM-GATE-ORDER")
    assert status == 1
    assert "again: pytest --pyargs conformance --backend torch:other:Model:lstm" in printed


@pytest.mark.parametrize(("name", "kind", "said"), [
    ("torch:my:Step", None, "the name Step does not say its kind; add --kind"),
    ("torch:my:MyLSTM", "lstmm", "kind lstmm: give one of rnn_tanh, rnn_relu, lstm, gru."),
    ("torch:my:MyLSTM:lstmm", None, "there is no kind 'lstmm'"),
    ("reference", "lstm", "it is for a backend torch:package.module:attribute"),
    ("torch:my", None, "names no attribute: write torch:package.module:attribute."),
    ("torch:my:Missing", None, "has no attribute 'Missing'"),
    ("torch:ways:MyLSTM", None, "is a backend already: write ways:MyLSTM."),
    ("torch:my:checked", "gru", "checked needs shape, which torch.nn's layers do not take"),
    ("torch:my:GatesGRU", None, "names: the module has no parameter bias_hh_l0"),
])  # fmt: skip
def test_a_wrong_name_gets_one_sentence(project, name, kind, said, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project)
    with pytest.raises(ValueError) as refusal:  # noqa: PT011  the sentence is looked at
        run(name, profile="smoke", kind=kind, isolation="none")
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_wrong_name_ends_the_command_with_status_4(project):
    status, printed = terminal(project, "--backend", "torch:my:MyLSTM", "--kind", "lstmm")
    assert status == 4, printed
    assert "--kind lstmm: give one of rnn_tanh, rnn_relu, lstm, gru." in printed
    assert "Traceback" not in printed


# --- the function ------------------------------------------------------------------------------------

Here = module_backend(MyLSTM, kinds="lstm")


def test_an_object_at_the_top_of_a_module_runs_in_separate_processes():
    assert importable_name(Here) == f"{__name__}:Here"
    assert importable_name(module_backend(MyLSTM, kinds="lstm")) is None
    report = run(Here, profile="smoke", shard="1/40")
    assert report.conformant
    assert report.findings


# --- claims ------------------------------------------------------------------------------------------


class Full(torch.nn.Module):
    """A module that takes all arguments of torch.nn's layers."""

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
                 bidirectional=False, proj_size=0, device=None, dtype=None):  # fmt: skip
        super().__init__()
        self.inner = torch.nn.LSTM(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
                                   proj_size, device=device, dtype=dtype)  # fmt: skip

    def forward(self, x, hx=None):
        return self.inner(x, hx)


def claimed(backend):
    """Return the names of the claims that are made."""
    data = backend.features.as_json()
    return {name for name, value in data.items() if value is True and name not in ("layers", "deterministic")}


CORE = {"initial_state", "parameters", "gradients", "parameters_set", "torch_behaviors"}


def test_claims_follow_from_signatures():
    flags = {"multilayer", "bidirectional", "no_bias", "batch_first", "projection", "dropout", "training_gradients"}
    assert claimed(module_backend(Full, kinds="lstm")) == CORE | flags | {"unbatched", "lengths"}
    assert claimed(module_backend(MyLSTM, kinds="lstm")) == CORE | {"batch_first"}
    wrapped = claimed(module_backend(torch_modules.Wrapped, kinds="lstm"))
    assert wrapped == CORE - {"initial_state"} | flags - {"dropout", "training_gradients"} | {"unbatched", "lengths"}
    cells = cell_backend(Step, kinds="lstm")
    assert claimed(cells) == {"cells", "cell_gradients", "no_bias", "initial_state", "unbatched"}
    assert not cells.features.layers
    assert claimed(function_backend(my_gru, kinds="gru")) == CORE


def test_the_caller_corrects_the_claims():
    corrected = module_backend(Full, kinds="lstm", bidirectional=False, gradients=False, hidden_sizes={8, 16})
    assert not corrected.features.bidirectional
    assert not corrected.features.gradients
    assert corrected.features.hidden_sizes == (8, 16)


def test_what_is_not_claimed_is_refused_in_one_place():
    backend = module_backend(Full, kinds="lstm", bidirectional=False, unbatched=False, hidden_sizes={4})
    for config in (LayerConfig("lstm", 3, 4, bidirectional=True), LayerConfig("gru", 3, 4), LayerConfig("lstm", 3, 5)):
        with pytest.raises(Unsupported):
            backend.layer(config, {})
    config = LayerConfig("lstm", 3, 4)
    layer = backend.layer(config, parameters(config))
    with pytest.raises(Unsupported, match="unbatched is not claimed"):
        layer.forward(parameters(config)["weight_ih_l0"])
    with pytest.raises(Unsupported, match="no cells"):
        backend.cell(config, {})
    with pytest.raises(Unsupported):
        cell_backend(Step, kinds="lstm").layer(config, parameters(config))


def parameters(config):
    """Return parameters of a configuration, by name."""
    import numpy as np

    from reference.parameters import parameter_shapes

    rng = np.random.default_rng(1)
    return {name: rng.standard_normal(shape).astype("float32") for name, shape in parameter_shapes(config).items()}


# --- parameters --------------------------------------------------------------------------------------

GATES = {
    "weight_ih_l{k}": "x2h.{r,z,n}.T",
    "weight_hh_l{k}": "h2h.{r,z,n}.weight",
    "bias_ih_l0": "bias[r,n,z]",
    "bias_hh_l0": "h2h.{r,z,n}.bias",
}


def put(module, values):
    """Load a GatesGRU."""
    for row, gate in enumerate("rzn"):
        module.x2h[gate].copy_(values["weight_ih_l0"].chunk(3)[row].T)
        module.h2h[gate].weight.copy_(values["weight_hh_l0"].chunk(3)[row])
        module.h2h[gate].bias.copy_(values["bias_hh_l0"].chunk(3)[row])
    r, z, n = values["bias_ih_l0"].chunk(3)
    module.bias.copy_(torch.cat([r, n, z]))


def take(module):
    """Return the parameters of a GatesGRU."""
    r, n, z = module.bias.chunk(3)
    return {
        "weight_ih_l0": torch.cat([module.x2h[gate].T for gate in "rzn"]),
        "weight_hh_l0": torch.cat([module.h2h[gate].weight for gate in "rzn"]),
        "bias_ih_l0": torch.cat([r, z, n]),
        "bias_hh_l0": torch.cat([module.h2h[gate].bias for gate in "rzn"]),
    }


@pytest.mark.parametrize("names", [GATES, (put, take)])
def test_parameters_go_to_the_modules_names_and_come_back(names):
    config = LayerConfig("gru", 3, 4)
    given = parameters(config)
    layer = module_backend(GatesGRU, kinds="gru", names=names).layer(config, given)
    back = layer.parameters()
    assert list(back) == list(given)
    assert all((back[name] == given[name]).all() for name in given)
    expected = torch_nn_backend("gru").layer(config, given)
    x = parameters(config)["weight_ih_l0"][:5, None].copy()
    ours, right = (
        each.gradients(x, None, None, None, x[..., :1].repeat(4, -1), None, None) for each in (layer, expected)
    )
    assert list(ours) == list(right)
    for name in right:
        assert abs(ours[name] - right[name]).max() < 1e-5
    layer.load({name: -value for name, value in given.items()})
    assert (layer.parameters()["bias_ih_l0"] == -given["bias_ih_l0"]).all()


def test_one_tensor_for_two_biases_holds_their_sum():
    names = {"weight_ih_l0": "x2h.{r,z,n}.T", "weight_hh_l0": "h2h.{r,z,n}.weight"}
    names |= {"bias_hh_l0": "h2h.{r,z,n}.bias", "bias_ih_l0": "bias"}
    assert module_backend(GatesGRU, kinds="gru", names=names).features.parameters

    class OneBias(MyLSTM):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            del self.bias_hh_l0
            self.bias_hh_l0 = 0.0

    backend = module_backend(OneBias, kinds="lstm", names={"bias_hh_l0": "bias_ih_l0"})
    assert not backend.features.parameters
    given = parameters(LayerConfig("lstm", 3, 4))
    layer = backend.layer(LayerConfig("lstm", 3, 4), given)
    assert (layer.module.bias_ih_l0.detach().numpy() == given["bias_ih_l0"] + given["bias_hh_l0"]).all()


# --- proofs ------------------------------------------------------------------------------------------


def test_torchs_own_kernel_is_no_proof(project):
    status, printed = terminal(project, "--backend", "ways:GRU", *SMOKE, "--diagnosis", "off", "-k", "SHAPE-OUTPUT")
    assert status == 1, printed
    assert "torch's own kernel ran: aten::gru.input was not entered by a call: gru, float32, no lengths" in printed


@pytest.mark.parametrize("key", ["CPU", "AutogradCPU", "CompositeImplicitAutograd"])
def test_an_override_is_entered_and_the_calls_that_are_not_are_told(key):
    own = torch.library.Library("aten", "IMPL")

    def kernel(x, hx, params, has_biases, layers, dropout, train, bidirectional, batch_first):
        weights = dict(zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), params, strict=True))
        return my_gru(x, hx, None, weights)

    backend = torch_nn_backend(proves="aten::gru.input")
    assert backend.features.kinds == {"gru"}
    config = LayerConfig("gru", 3, 4)
    layer, x = backend.layer(config, parameters(config)), parameters(config)["weight_ih_l0"][:5, None].copy()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that its own kernel is overridden
            own.impl("gru.input", kernel, key)
        layer.forward(x)
        with pytest.raises(RuntimeError, match=r"torch's own kernel ran: .*packed input; entered so far by calls: gru"):
            layer.forward(x, lengths=[3])
    finally:
        own._destroy()
    with pytest.raises(RuntimeError, match="torch's own kernel ran"):
        layer.forward(x)


def test_a_counter_proves_as_well():
    entries = [0]

    def entered(*arguments):
        entries[0] += arguments[0].dtype == torch.float32
        return my_gru(*arguments)

    backend = function_backend(entered, kinds="gru", dtypes={"float32", "float64"}, proves=lambda: entries[0])
    config = LayerConfig("gru", 3, 4)
    x = parameters(config)["weight_ih_l0"][:5, None].copy()
    backend.layer(config, parameters(config)).forward(x)
    double = LayerConfig("gru", 3, 4, dtype="float64")
    layer = backend.layer(double, {name: value.astype("float64") for name, value in parameters(config).items()})
    with pytest.raises(RuntimeError, match=r"torch's own kernel ran: .*gru, float64"):
        layer.forward(x.astype("float64"))


# --- context and device ------------------------------------------------------------------------------


def test_the_context_surrounds_building_and_calling():
    inside, seen = [], []

    class Context:
        def __enter__(self):
            inside.append(self)

        def __exit__(self, *error):
            inside.pop()

    class Watched(MyLSTM):
        def __init__(self, *sizes):
            seen.append(len(inside))
            super().__init__(*sizes)

        def forward(self, x, states=None):
            seen.append(len(inside))
            return super().forward(x, states)

    backend = module_backend(Watched, kinds="lstm", context=Context)
    config = LayerConfig("lstm", 3, 4)
    layer = backend.layer(config, parameters(config))
    x = parameters(config)["weight_ih_l0"][:5, None].copy()
    layer.forward(x)
    layer.gradients(x, None, None, None, x[..., :1].repeat(4, -1), None, None)
    assert set(seen) == {1}
    assert not inside


def test_a_missing_device_is_told_when_it_is_used():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    backend = module_backend(MyLSTM, kinds="lstm", device="cuda:0")
    assert not backend.forks
    with pytest.raises(Unsupported, match="needs a CUDA device"):
        backend.features  # noqa: B018
    with pytest.raises(registry.UnknownBackend, match=r"^backend 'x' needs a CUDA device: torch \S+ finds none\.$"):
        registry.built("x", backend)


# --- wrong arguments ---------------------------------------------------------------------------------


class NoSizes(torch.nn.Module):
    """A module that takes no sizes."""

    def __init__(self, dropout=0.5):
        super().__init__()


class MoreSizes(MyLSTM):
    """A module that takes a third size."""

    def __init__(self, input_size, hidden_size, output_size):
        super().__init__(input_size, hidden_size)


def test_every_wrong_argument_gets_one_sentence():
    wrong = [
        (lambda: module_backend(MyLSTM, kinds="lstmm"), "kinds: expected some of rnn_tanh"),
        (lambda: module_backend(MyLSTM, kinds="lstm", dtypes="int8"), "dtypes: expected some of"),
        (lambda: module_backend(Step), "kinds: 'Step' does not say the kind"),
        (lambda: module_backend(3, kinds="lstm"), "the factory is of type int"),
        (lambda: module_backend(MyLSTM(3, 4), kinds="lstm"), "the factory is a module"),
        (lambda: module_backend(NoSizes, kinds="lstm"), "NoSizes takes no input_size and hidden_size"),
        (lambda: module_backend(MoreSizes, kinds="lstm"), "MoreSizes needs output_size"),
        (lambda: module_backend(lambda input_size, hidden_size: 3, kinds="lstm"), "expected a torch.nn.Module"),
        (lambda: module_backend(MyLSTM, kinds="lstm", names={"weight_xh": "W"}), "names: 'weight_xh' is no parameter"),
        (lambda: module_backend(MyLSTM, kinds="lstm", names={"weight_ih_l0": "W"}), "the module has no parameter W"),
        (lambda: module_backend(MyLSTM, kinds="lstm", names={"weight_ih_l0": 3}), "names: weight_ih_l0 has a value"),
        (lambda: module_backend(MyLSTM, kinds="lstm", names=3), "names: give None, a mapping"),
        (lambda: module_backend(GatesGRU, kinds="gru"), "the module has no parameter bias_hh_l0"),
        (lambda: module_backend(MyLSTM, kinds="lstm", names={"weight_ih_l0": "bias{i,f,g}"}), "names 3 tensors"),
        (lambda: module_backend(MyLSTM, kinds="lstm", names={"weight_ih_l0": "W[i,f,g,h]"}), "orders the gates"),
        (
            lambda: module_backend(
                MyLSTM, kinds="lstm", names={"weight_ih_l0": "weight_hh_l0", "weight_hh_l0": "weight_ih_l0"}
            ),
            "has shape",
        ),
        (lambda: module_backend(MyLSTM, kinds="lstm", device="cudaa"), "device: 'cudaa' is no device of torch"),
        (lambda: module_backend(MyLSTM, kinds="lstm", context=3), "context: expected a function"),
        (lambda: module_backend(MyLSTM, kinds="lstm", call=3), "call: expected a function"),
        (lambda: module_backend(MyLSTM, kinds="lstm", bidirektional=True), "bidirektional: there is no such argument"),
        (lambda: torch_nn_backend(proves="aten::lstmm.input"), "proves: torch has no operator 'aten::lstmm.input'"),
        (lambda: torch_nn_backend(proves="aten::lstm"), "its overloads are aten::lstm.input and aten::lstm.data"),
        (lambda: torch_nn_backend(proves=3), "proves: give an overload's name"),
        (lambda: function_backend(lambda x, h: x, kinds="gru"), "cannot be called as f(x, h_0, c_0, weights)"),
        (lambda: function_backend(3, kinds="gru"), "the function is of type int"),
    ]
    for make, said in wrong:
        with pytest.raises(ValueError) as refusal:  # noqa: PT011  the sentence is looked at
            make()
        sentence = str(refusal.value)
        assert said in sentence
        assert "\n" not in sentence


def test_the_file_of_modules_stands_alone():
    assert "conformance" not in Path(torch_modules.__file__).read_text()
