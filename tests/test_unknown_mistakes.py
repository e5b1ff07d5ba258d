"""Reports of mistakes that the bank of faults does not have are true, and tell one mistake once."""

import json

from tests.test_plugin import run

FEW = (
    "SHAPE-OUTPUT or STATE-SAMPLE-ALONE or STATE-STEPWISE or STATE-INITIAL or STATE-REPEATED-CALL or "
    "STATE-CALLS-INDEPENDENT or STATE-SHAPES-IN-TURN or LENGTHS-OUTPUT-ZERO or LENGTHS-EQUATION or "
    "RNN-TANH-EQUATION or LSTM-EQUATION or GRU-EQUATION or FORWARD-EQUATION or MULTILAYER-EQUATION"
)

# The failed requirements of each backend, and parts of the first one's message.
SAID = {
    "right": ([], []),
    "last_step_off": (
        ["LENGTHS-OUTPUT-ZERO", "STATE-STEPWISE"],
        [
            "of these only output",
            "only the last step of T, not of the sample",
            "number is the documented one plus 0.01",
        ],
    ),
    "middle_halved": (
        ["STATE-STEPWISE"],
        ["those and no others with T > 2", "each wrong number is 0.5 times the documented one"],
    ),
    "hard_tanh": (["LSTM-EQUATION"], ["none of the", "all drawn calls are wrong"]),
    "hard_tanh_without_lengths": (["LENGTHS-OUTPUT-ZERO", "LSTM-EQUATION"], ["none of the"]),
    "no_bias_in_the_first_call": (
        ["STATE-REPEATED-CALL"],
        ["the first call is that of a layer that leaves both biases out, but not those after it"],
    ),
    "swapped_states": (["STATE-INITIAL"], ["those and no others with initial states and num_layers = 3;"]),
    "squeezed": (["SHAPE-OUTPUT"], ["drawn calls fail: all calls with T = 1, and"]),
    "stale_output": (
        ["STATE-CALLS-INDEPENDENT"],
        [
            "the same call gave other bits after one with another input",
            "each of the calls is right on a new layer: the layer carries something from one call to the next",
            "those and no others with T = 1",
        ],
    ),
    "doubled": (["STATE-REPEATED-CALL"], ["the second time, off by", "right on a new layer"]),
    "one_step_off": (
        ["STATE-STEPWISE"],
        [
            "one of the requirement's calls is wrong by itself: gru layer(",
            "those and no others with T = 1; of these only output; each wrong number is the documented one plus 0.01",
            "the first wrong element of this call: layer 0",
        ],
    ),
    "one_sample_halved": (
        ["STATE-SAMPLE-ALONE"],
        ["those and no others with N = 1; of these only h_n; each wrong number is 0.5 times the documented one"],
    ),
    "packed_once": (
        ["LENGTHS-EQUATION"],
        ["the call alone is right in a fresh process", "the backend carries something from one object to another"],
    ),
}


def test_what_is_said_of_an_unknown_mistake_is_true(tmp_path, subtests):
    file = tmp_path / "report.json"
    backends = [option for name in SAID for option in ("--backend", f"tests.unknown_mistakes:{name}")]
    options = ("-k", FEW, "--hypothesis-profile", "quick", "--conformance-report", str(file))
    status, printed = run("conformance", "-q", *backends, *options)
    assert status == 1, printed
    for (name, (failed, said)), report in zip(SAID.items(), json.loads(file.read_text()), strict=True):
        with subtests.test(name):
            rows = [row for row in report["requirements"] if row["status"] == "failed"]
            assert sorted(row["id"] for row in rows) == failed
            for words in said:
                assert words in rows[0]["message"]


def test_a_failing_case_names_its_wrong_call(tmp_path):
    file = tmp_path / "report.json"
    cases = ("-k", "CASE-LSTM-FORWARD or CASE-LSTM-AGAIN", "--hypothesis-profile", "quick")
    backend = "tests.unknown_mistakes:middle_halved"
    status, printed = run("conformance", "-q", "--backend", backend, *cases, "--conformance-report", str(file))
    assert status == 1, printed
    rows = {row["id"]: row for row in json.loads(file.read_text())["requirements"]}
    said = rows["CASE-LSTM-AGAIN"]["message"]
    assert "of the case's calls this one is wrong by itself: lstm layer(" in said
    assert "T > 2; of these only output; each wrong number is 0.5 times the documented one" in said
    assert "the first wrong element of this call: layer 0, forward direction, step 1" in said
    assert rows["CASE-LSTM-FORWARD-031"]["status"] == "blocked"
