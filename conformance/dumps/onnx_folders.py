"""Read a folder of ONNX's backend tests as a dump: ``model.onnx`` of one node, and ``test_data_set_*/*.pb``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.dumps.files import BrokenDump
from conformance.onnx.features import INPUTS, NEEDED_INPUTS, OUTPUTS
from reference.onnx.attributes import OPERATORS

MODEL = "model.onnx"
ORDER = (*NEEDED_INPUTS, *INPUTS)


def is_folder_of_a_test(path: Path) -> bool:
    """Return whether a folder has the layout of a test of ONNX."""
    return (path / MODEL).is_file()


def read_folder(path: Path) -> dict[str, Any]:
    """Return the node's attributes, and inputs and outputs of every data set, by name. Raises BrokenDump."""
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise BrokenDump(f"{MODEL}: reading a model needs the package onnx; install it") from error
    try:
        model = onnx.load(str(path / MODEL))
    except Exception as error:  # protobuf's own errors have no common class
        raise BrokenDump(f"{MODEL}: this is no ONNX model ({type(error).__name__}); export it again") from error
    nodes = [node for node in model.graph.node if node.op_type in OPERATORS]
    if len(nodes) != 1 or len(model.graph.node) != 1:
        raise BrokenDump(
            f"{MODEL}: it has {len(model.graph.node)} nodes; one of {', '.join(OPERATORS)} alone is judged"
        )
    node = nodes[0]
    values: dict[str, Any] = {"op_type": node.op_type}
    values |= {"opset": next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 22)}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        strings = [v.decode() if isinstance(v, bytes) else v for v in value] if isinstance(value, list) else value
        values[attribute.name] = value.decode() if isinstance(value, bytes) else strings
    initializers = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    theirs = dict(zip(node.input, ORDER, strict=False)) | dict(zip(node.output, OUTPUTS, strict=False))
    values |= {theirs[name]: array for name, array in initializers.items() if theirs.get(name)}
    fed = [info.name for info in model.graph.input if info.name not in initializers]
    sets = sorted(path.glob("test_data_set_*"))
    if not sets:
        raise BrokenDump("test_data_set_0 is missing; save inputs and outputs as input_0.pb, output_0.pb and so on")
    for number, folder in enumerate(sets):
        for word, names in (("input", fed), ("output", [info.name for info in model.graph.output])):
            for place, name in enumerate(names):
                if theirs.get(name):
                    values[f"{number}/{theirs[name]}"] = _tensor(folder / f"{word}_{place}.pb", word == "output")
    return {name: value for name, value in values.items() if value is not None}


def _tensor(path: Path, optional: bool) -> Any:
    """Return the array of a file; None for an output that is not there. Raises BrokenDump."""
    from onnx import TensorProto, numpy_helper

    shown = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        if optional:
            return None
        raise BrokenDump(f"{shown} is missing; save every input that the model lists")
    tensor = TensorProto()
    try:
        tensor.ParseFromString(path.read_bytes())
        return numpy_helper.to_array(tensor)
    except Exception as error:  # protobuf's own errors have no common class
        raise BrokenDump(f"{shown}: this is no tensor of ONNX ({type(error).__name__}); save it again") from error
