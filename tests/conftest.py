"""The markers of the tests by file: the packages that a test needs, and whether it is fast or slow."""

from __future__ import annotations

from pathlib import Path

import pytest

# `fast`: the file takes under half a minute and breaks first when something is wrong; `tox -e fast` runs these.
# `slow`: the file takes over a minute. The other markers name the packages that the file needs.
MARKERS = {
    "test_adapter_guide": "",
    "test_adapter_mistakes": "slow",
    "test_ahead": "slow",
    "test_arithmetics": "slow",
    "test_benchmarks": "",
    "test_broken_files": "",
    "test_campaign": "slow",
    "test_cascade": "slow",
    "test_cases_data": "torch",
    "test_cases_generated": "slow torch",
    "test_cell_gradients": "torch",
    "test_chance": "fast",
    "test_check_command": "",
    "test_checked": "fast",
    "test_claims": "",
    "test_compare": "fast",
    "test_consequences": "slow",
    "test_conditions": "fast",
    "test_database": "slow redis",
    "test_diagnosis": "slow torch",
    "test_dialects": "slow torch",
    "test_discrimination": "",
    "test_exec_features": "slow",
    "test_last_output": "slow",
    "test_elements": "fast",
    "test_explanation_time": "",
    "test_explain": "",
    "test_explain_nodes": "onnx",
    "test_faults": "fast",
    "test_figures": "",
    "test_findings": "fast",
    "test_function": "slow",
    "test_garbage": "",
    "test_gate": "slow",
    "test_gradients": "torch",
    "test_habits": "fast",
    "test_history": "",
    "test_hostile_bank": "",
    "test_hostile_state": "slow",
    "test_init": "torch onnx",
    "test_interrupt": "fast",
    "test_interrupted_runs": "slow",
    "test_isolation": "slow",
    "test_issue": "slow torch",
    "test_items": "fast",
    "test_large_calls": "",
    "test_jax_ways": "",
    "test_killed_runs": "",
    "test_layouts": "fast onnx",
    "test_onnx_arithmetics": "",
    "test_limits": "fast",
    "test_messages": "fast",
    "test_onnx_cases": "onnx",
    "test_onnx_ops": "onnx",
    "test_onnx_oracle": "fast onnx",
    "test_onnx_runtime": "onnx",
    "test_onnx_specification": "onnx",
    "test_optional_features": "torch",
    "test_oracle": "torch",
    "test_partial_claims": "slow torch",
    "test_plugin": "slow",
    "test_prose": "fast",
    "test_quantized": "slow torch",
    "test_readme": "slow",
    "test_regenerate": "fast",
    "test_report_file": "",
    "test_reproducer": "slow torch",
    "test_right_implementations": "slow",
    "test_right_requirement": "slow torch",
    "test_shards": "slow",
    "test_shrinking": "fast",
    "test_site": "",
    "test_site_page": "",
    "test_specifications": "",
    "test_site_browser": "browser",
    "test_survey": "fast",
    "test_terminal": "slow",
    "test_torch": "slow torch",
    "test_torch_behaviors": "torch",
    "test_torch_onnx": "torch onnx",
    "test_torch_ways": "slow torch",
    "test_triton": "slow torch",
    "test_unknown_mistakes": "",
    "test_versions": "fast",
}
collect_ignore = ["toy_specification"]  # its suite is for the runs that tests/test_specifications.py starts

# Slow tests of fast files.
SLOW = {
    "test_such_an_adapter_conforms_in_what_it_claims",
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Spare the imports of files without a fast test where only those are run."""
    name = collection_path.stem
    spared = config.option.markexpr.startswith("fast") and "fast" not in MARKERS.get(name, "fast").split()
    return spared or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            slow = ["slow"] if getattr(item, "originalname", item.name) in SLOW else []
            for marker in (*MARKERS.get(item.path.stem, "").split(), *slow):
                item.add_marker(marker)
