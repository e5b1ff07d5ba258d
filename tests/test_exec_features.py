"""A program that claims every optional feature through the exec: protocol, right and with one mistake in each."""

import sys

import pytest

from conformance import run
from conformance.engine.finding import Status

PROGRAM = """
import json, sys
import numpy as np
sys.path.insert(0, {root!r})
from conformance.backend import CellConfig, LayerConfig, Unsupported
from conformance.backends.exec_protocol import _encoded as encoded, decoded
from conformance.backends.oracle import OracleBackend

MISTAKE = {mistake!r}
right, built = OracleBackend(), {{}}
FEATURES = {{
    "kinds": ["gru"], "cells": True, "parameters": True, "gradients": True, "dropout": True, "cell_gradients": True,
    "parameters_set": True, "training_gradients": True, "by_kind": {{"gru": {{"unbatched": False}}}},
    "input_sizes": [3, 4], "boundaries": [20], "reverse_alone": True, "masks": True, "stateful": True,
    "output": ["all", "last"],
}}


def arrays(given):
    return {{name: None if value is None else encoded(np.asarray(value)) for name, value in given.items()}}


def plain(value):
    if isinstance(value, dict) and set(value) == {{"dtype", "shape", "data"}}:
        return decoded(value)
    return {{name: plain(v) for name, v in value.items()}} if isinstance(value, dict) else value


def answer(method, handle=None, config=None, **given):
    if method == "hello":
        return {{"protocol": 1, "name": "program", "version": "1", "features": FEATURES}}
    if method in ("layer", "reverse_layer", "cell"):
        made = CellConfig(**config) if method == "cell" else LayerConfig(**config)
        built[len(built) + 1] = getattr(right, method)(made, given["parameters"])
        return {{"handle": len(built)}}
    if method == "release":
        return {{}}
    if method == "initial_parameters":
        raise Unsupported(method)
    one = built[handle]
    if getattr(one.config, "input_size", 3) not in (3, 4):
        raise ValueError("a size that is not taken")
    if method != "load" and given.get("x") is not None and np.ndim(given["x"]) == (1 if hasattr(one, "step") else 2):
        raise Unsupported("unbatched")
    if method == "forward_masked":
        mask = np.array(given.pop("mask"), bool)
        return arrays(one.forward_masked(**given, mask=~mask if MISTAKE else mask)._asdict())
    if method == "forward_last":
        result = one.forward_last(**given)
        return arrays(result._replace(output=result.output[..., ::-1] if MISTAKE else result.output)._asdict())
    if method == "forward_stateful":
        if MISTAKE:
            one.reset()
        return arrays(one.forward_stateful(**given)._asdict())
    if method == "reset":
        one.reset()
        return {{}}
    if method == "load":
        if not MISTAKE:
            one.load(given["parameters"])
        return {{}}
    if method == "step":
        return arrays(dict(zip(("h", "c"), one.step(**given))))
    if method == "parameters":
        return {{"parameters": arrays(one.parameters())}}
    if method == "gradients":
        d = one.gradients(**given)
        if MISTAKE and "d_h" in given:
            d["weight_ih"] = -d["weight_ih"]
        return {{"gradients": arrays(d)}}
    if method == "gradients_training":
        result, d = one.gradients_training(**given)
        if MISTAKE:
            d = one.gradients(**{{name: value for name, value in given.items() if name != "seed"}})
        return arrays(result._asdict()) | {{"gradients": arrays(d)}}
    if method in ("forward", "forward_training"):
        if MISTAKE and type(one).__name__ == "OracleReverseLayer":
            given["x"] = given["x"][::-1]
        return arrays(getattr(one, method)(**given)._asdict())
    raise Unsupported(method)


for line in sys.stdin:
    request = json.loads(line)
    number, method = request.pop("id"), request.pop("method")
    try:
        said = {{"result": answer(method, **{{k: v if k == "config" else plain(v) for k, v in request.items()}})}}
    except Unsupported as refusal:
        said = {{"unsupported": str(refusal) or "no"}}
    except Exception as error:
        said = {{"error": repr(error)}}
    print(json.dumps({{"id": number, **said}}), flush=True)
"""


@pytest.mark.parametrize("mistake", [False, True], ids=["right", "wrong"])
def test_every_feature_crosses(tmp_path, pytestconfig, mistake):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(root=str(pytestconfig.rootpath), mistake=mistake))
    report = run(f"exec:{sys.executable} {path}", profile="smoke", processes=1, diagnosis="off")
    found = {finding.requirement: finding.status for finding in report.findings}
    features = {"LOAD-EVERY", "CELL-GRADIENT-EQUATION", "TRAINING-GRADIENT-EQUATION", "REVERSE-ALONE-EQUATION"}
    features |= {"MASK-EQUATION", "STATEFUL-CONTINUES", "LAST-H-N"}
    assert features | {"UNCLAIMED-UNBATCHED"} <= set(found)
    if mistake:
        assert features <= {finding.requirement for finding in report.failures}
    else:
        assert report.conformant, report
        assert found["LARGE-UNITS"] is Status.PASSED
        assert "input_size 3, 4 alone is asked for" in str(report)
