"""The suite bites: right implementations pass whatever their order of summation, wrong ones fail."""

import re
from pathlib import Path

import pytest

from conformance.__main__ import requirements_page
from reference.catalogue import catalogue
from tests.harness import all_checks, failures
from tests.implementations import RIGHT, WRONG

# What decides a few of them, so that a failure is one for the right reason.
DECISIVE = {
    "lstm_gates_onnx": "LSTM-GATE-ORDER",
    "gru_gates_onnx": "GRU-GATE-ORDER",
    "bias_hh_dropped": "PARAM-BIASES-ADD",
    "gru_reset_unused": "GRU-RESET-GATE",
    "gru_update_inverted": "GRU-UPDATE-GATE",
    "lstm_forget_bias_one": "LSTM-FORGET-GATE",
    "reverse_shares_forward": "PARAM-REVERSE",
    "reverse_state_from_last_step": "STATE-BIDIRECTIONAL-END",
    "rows_direction_major": "STATE-STACK",
    "initial_state_ignored": "STATE-INITIAL",
    "omitted_state_ones": "STATE-OMITTED-ZEROS",
    "state_kept_between_calls": "STATE-REPEATED-CALL",
    "samples_mixed": "STATE-SAMPLE-ALONE",
    "noise_3e_5": "FORWARD-EQUATION",
    "lengths_ignored": "LENGTHS-OUTPUT-ZERO",
    "padding_leaks": "LENGTHS-PADDING-IGNORED",
    "states_sorted_by_length": "LENGTHS-STATES-ORDER",
    "reverse_starts_in_the_padding": "LENGTHS-REVERSE-START",
    "projection_of_reverse_shared": "PROJ-BIDIRECTIONAL",
    "tail_of_large_batches": "LARGE-BATCH-EQUATION",
    "tail_of_wide_layers": "LARGE-HIDDEN-EQUATION",
    "tanh_beyond_one": "STATE-RANGE",
    "naive_exponentials": "SATURATION-EQUATION",
    "batch_first_states_too": "BATCH-FIRST-STATES",
    "cells_in_float16": "CELL-LOOP",
    "gradient_of_bias_hh_dropped": "GRADIENT-BIAS-HH",
    "gradients_of_biases_halved": "GRADIENT-BIAS-IH",
    "gradient_of_projection_transposed": "GRADIENT-WEIGHT-HR",
    "gradients_averaged_over_the_batch": "GRADIENT-BATCH-SUM",
    "gradients_accumulated": "GRADIENT-REPEATED-CALL",
    "gradients_descended": "GRADIENT-FORWARD-AFTER",
    "gradients_off_by_3e_5": "GRADIENT-EQUATION",
    "gradient_of_gru_without_reset": "GRADIENT-WEIGHT-HH",
    "gradient_of_relu_at_zero": "GRADIENT-RELU-AT-ZERO",
    "gradients_cut_after_3_steps": "GRADIENT-CHUNKED",
    "gradients_cut_after_32_steps": "GRADIENT-LONG",
    "cotangent_of_the_last_step_only": "GRADIENT-D-OUTPUT",
    "gradient_of_h_0_missing": "GRADIENT-H-0",
    "gradient_of_c_0_missing": "GRADIENT-C-0",
    "gradient_of_omitted_states": "GRADIENT-OMITTED-STATE",
    "cotangent_of_h_n_ignored": "GRADIENT-D-H-N",
    "cotangent_of_c_n_ignored": "GRADIENT-D-C-N",
    "cotangents_of_lower_layers_ignored": "GRADIENT-STACK",
    "cotangent_of_h_n_is_ones": "GRADIENT-NONE-ZEROS",
    "cotangent_of_reverse_at_the_wrong_end": "GRADIENT-DIRECTIONS",
    "gradient_of_x_from_forward_alone": "GRADIENT-DIRECTIONS",
    "gradients_in_float64": "GRADIENT-DTYPE",
    "gradients_ignore_lengths": "GRADIENT-LENGTHS-CUT",
    "gradient_into_the_padding": "GRADIENT-PADDING-ZERO",
    "padding_of_cotangent_multiplied": "GRADIENT-PADDING-COTANGENT",
    "cotangent_written": "GRADIENT-ARGUMENTS-UNTOUCHED",
    "dropout_after_the_last_layer": "DROPOUT-BETWEEN-LAYERS",
    "dropout_on_the_input": "DROPOUT-BETWEEN-LAYERS",
    "dropout_on_the_recurrence": "DROPOUT-BETWEEN-LAYERS",
    "dropout_with_one_layer": "DROPOUT-SINGLE-LAYER",
    "dropout_in_inference": "DROPOUT-INFERENCE",
    "dropout_left_on": "DROPOUT-INFERENCE",
    "dropout_unscaled": "DROPOUT-EQUATION",
    "dropout_scaled_by_p": "DROPOUT-EQUATION",
    "dropout_divides_by_zero": "DROPOUT-ONE",
    "dropout_zero_is_half": "DROPOUT-ZERO",
    "dropout_of_one_direction": "DROPOUT-EQUATION",
    "dropout_keeps_with_p": "DROPOUT-RATE",
    "dropout_rate_in_eighths": "DROPOUT-RATE",
    "dropout_in_the_first_gap_only": "DROPOUT-RATE",
    "dropout_same_each_step": "DROPOUT-FRESH-STEPS",
    "dropout_same_for_all_samples": "DROPOUT-FRESH-SAMPLES",
    "dropout_of_whole_vectors": "DROPOUT-FRESH-UNITS",
    "dropout_same_in_each_layer": "DROPOUT-FRESH-LAYERS",
    "dropout_same_in_both_directions": "DROPOUT-FRESH-DIRECTIONS",
    "dropout_seed_ignored": "DROPOUT-OTHER-SEED",
    "dropout_never_the_same": "DROPOUT-SAME-SEED",
    "initial_names_sorted": "INIT-NAMES",
    "initial_weights_transposed": "INIT-SHAPES",
    "initial_values_in_float64": "INIT-DTYPE",
    "initial_normal": "INIT-BOUNDS",
    "initial_forget_bias_one": "INIT-BOUNDS",
    "initial_bound_of_the_projection": "INIT-BOUNDS",
    "initial_normal_clipped": "INIT-DISTRIBUTION",
    "initial_bound_one_over_h": "INIT-DISTRIBUTION",
    "initial_zero_biases": "INIT-DISTRIBUTION",
    "initial_values_positive": "INIT-DISTRIBUTION",
    "initial_bound_of_the_columns": "INIT-DISTRIBUTION",
    "initial_bound_of_glorot": "INIT-DISTRIBUTION",
    "initial_forget_bias_zero": "INIT-DISTRIBUTION",
    "initial_biases_equal": "INIT-INDEPENDENT",
    "initial_biases_opposite": "INIT-INDEPENDENT",
    "initial_generator_begun_again": "INIT-INDEPENDENT",
    "initial_seed_plus_position": "INIT-OTHER-SEED",
    "initial_seed_ignored": "INIT-OTHER-SEED",
    "initial_values_never_the_same": "INIT-SAME-SEED",
    "any_input_accepted": "REFUSE-INPUT-RANK",
    "any_state_accepted": "REFUSE-STATE-BATCH",
    "any_lengths_accepted": "REFUSE-LENGTHS-BEYOND-T",
    "any_parameters_accepted": "REFUSE-PARAMETERS-MISSING",
    "broken_by_a_rejected_call": "REFUSE-LEAVES-NOTHING",
    "ignores_what_it_does_not_claim": "UNCLAIMED-LENGTHS",
    "trains_though_it_does_not_claim_to": "UNCLAIMED-GRADIENTS",
    "initial_values_though_not_claimed": "UNCLAIMED-INITIALIZATION",
    "nan_becomes_zero": "ROBUST-NAN-KEPT",
    "infinity_becomes_nan": "ROBUST-INFINITE",
    "results_in_one_buffer": "ROBUST-RESULTS-KEPT",
    "layout_ignored": "ROBUST-OFFSET",
    "one_workspace_for_all": "ROBUST-THREADS",
    "states_of_the_other_layer": "ROBUST-INTERLEAVED",
}

found: dict[str, dict[str, str]] = {}


def failed_by(name):
    """What the suite says of a wrong implementation, in the area of what decides it if that is named; run once."""
    if name not in found:
        checks = all_checks()
        if name in DECISIVE:
            area = catalogue()[DECISIVE[name]].area
            checks = [check for check in checks if check.entry.area == area]
        found[name] = failures(WRONG[name](), checks=checks)
    return found[name]


@pytest.mark.parametrize("name", RIGHT)
def test_right_implementation_passes(name):
    assert failures(RIGHT[name]()) == {}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_implementation_fails(name):
    failed = failed_by(name)
    assert failed, f"nothing noticed that {WRONG[name].__doc__}"
    assert DECISIVE.get(name, next(iter(failed))) in failed


def test_every_requirement_is_failed_by_some_wrong_implementation():
    failed = set().union(*(failed_by(name) for name in WRONG))
    assert set(catalogue()) - failed == set()


def test_every_requirement_has_a_check_and_every_check_a_requirement():
    decided = {check.requirement for check in all_checks()}
    assert decided == set(catalogue())


def test_every_area_names_its_own_requirements_once():
    checks = [(check.requirement, check.law.__name__) for check in all_checks()]
    assert len(checks) == len(set(checks))
    assert all(entry.statement.endswith(".") and entry.source for entry in catalogue().values())


def test_the_page_of_requirements_is_the_catalogue_s():
    page = Path(__file__).parents[1] / "docs" / "requirements.md"
    assert page.read_text("utf-8").splitlines() == list(requirements_page()), (
        "python -m conformance requirements > docs/requirements.md"
    )


def test_the_table_of_coverage_names_every_requirement_and_no_other():
    page = (Path(__file__).parents[1] / "docs" / "coverage.md").read_text("utf-8")
    assert set(re.findall(r"`([A-Z]+(?:-[A-Z0-9]+)+)`", page)) == set(catalogue())
