"""The tests of ONNX's operators."""
