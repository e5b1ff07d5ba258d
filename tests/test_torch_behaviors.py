"""The area "torch": a right module passes, and each wrong one fails the requirement that decides it and no other."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from conformance.backends.oracle import OracleBackend  # noqa: E402
from conformance.specifications.torch_nn.catalogue import CATALOGUE  # noqa: E402
from conformance.torch import function_backend, module_backend, torch_nn_backend  # noqa: E402
from reference.config import KINDS  # noqa: E402
from tests.harness import QUICK, all_checks, failures  # noqa: E402
from tests.torch_faults import FAULTS, RightLSTM  # noqa: E402
from tests.torch_modules import GatesGRU, OutputLSTM, my_gru  # noqa: E402

IDS = [id_ for id_, entry in CATALOGUE.items() if entry.area == "torch"]
CHECKS = [check for check in all_checks() if check.requirement in IDS]


def unblocked(failed):
    """Leave out requirements that build on another failed one."""
    return {id_ for id_ in failed if not set(CATALOGUE[id_].builds_on) & set(failed)}


def test_every_requirement_of_the_area_has_a_wrong_module():
    assert sorted(FAULTS) == sorted(IDS)


@pytest.mark.parametrize("requirement", FAULTS)
def test_a_wrong_module_fails_its_requirement_first(requirement):
    failed = failures(module_backend(FAULTS[requirement], kinds="lstm"), QUICK, CHECKS)
    assert unblocked(failed) == {requirement}, failed


RIGHT = {
    "RightLSTM": lambda: module_backend(RightLSTM, kinds="lstm"),
    "OutputLSTM": lambda: module_backend(OutputLSTM, kinds="lstm"),
    "GatesGRU": lambda: module_backend(GatesGRU, kinds="gru", unbatched=False, names=GATES),
    "my_gru": lambda: function_backend(my_gru, kinds="gru"),
    "torch.nn": lambda: torch_nn_backend(context=lambda: torch.backends.mkldnn.flags(enabled=False, allow_tf32=None)),
}
GATES = {
    "weight_ih_l0": "x2h.{r,z,n}.T",
    "weight_hh_l0": "h2h.{r,z,n}.weight",
    "bias_ih_l0": "bias[r,n,z]",
    "bias_hh_l0": "h2h.{r,z,n}.bias",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_passes_so_that_failing_calls_are_made_smaller(kind):
    oracle = OracleBackend()
    oracle.features = replace(oracle.features, kinds=kind, dtypes="float32", torch_behaviors=True)
    assert failures(oracle, QUICK, CHECKS) == {}


@pytest.mark.parametrize("name", RIGHT)
def test_right_modules_pass(name):
    backend = RIGHT[name]()
    assert backend.features.torch_behaviors
    assert failures(backend, QUICK, CHECKS) == {}
