"""Second derivatives: the derivative of a layer's gradients along a direction.

``Dual`` pairs every array of the oracle's gradients (``reference.gradients``) with its derivative along the direction,
the tangent. Each operation computes both, so that the same lines give the gradients and their derivative. Values and
tangents are float64 arrays or disturbed ones (``reference.precision``).

Source: the chain rule, term by term; torch.autograd.grad, ``create_graph``: "allowing to compute higher order
derivative products".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reference.cells import Array
from reference.config import LayerConfig
from reference.gradients import evaluate_gradients


def evaluate_second(
    config: LayerConfig,
    parameters: Mapping[str, Array],
    directions: Mapping[str, np.ndarray],
    x: Array,
    h_0: Array | None = None,
    c_0: Array | None = None,
    lengths: Sequence[int] | None = None,
    d_output: Array | None = None,
    d_h_n: Array | None = None,
    d_c_n: Array | None = None,
) -> dict[str, Array]:
    """Return the gradients of the scalar that ``directions`` make of the gradients: sum(direction * gradient).

    ``directions`` have the names and shapes of the gradients. The Hessian is symmetric, so that these gradients are the
    derivative of ``reference.gradients`` along the directions. The other arguments, names and shapes are as there.
    """

    def moved(name: str, value: Array | None) -> Dual | None:
        return None if value is None else Dual(value, directions.get(name, np.zeros(value.shape)))

    duals = {name: Dual(value, directions[name]) for name, value in parameters.items()}
    start = moved("x", x), moved("h_0", h_0), moved("c_0", c_0)
    fixed = moved("d_output", d_output), moved("d_h_n", d_h_n), moved("d_c_n", d_c_n)
    found = evaluate_gradients(config, duals, *start, lengths, *fixed)
    return {name: d.tangent if isinstance(d, Dual) else np.zeros(d.shape) for name, d in found.items()}


class Dual:
    """An array and its derivative along a direction, of the same shape; for the operations of ``reference.gradients``.

    A plain operand has the derivative zero. Any other operation raises TypeError.
    """

    __slots__ = ("tangent", "value")

    def __init__(self, value: Array, tangent: Array) -> None:
        self.value, self.tangent = value, tangent

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return len(self.value.shape)

    @property
    def T(self) -> Dual:
        """The transpose of a matrix."""
        return Dual(self.value.T, self.tangent.T)

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Dual:
        return Dual(self.value[key], self.tangent[key])

    def __add__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.tangent + other.tangent)
        return Dual(self.value + other, self.tangent)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value - other.value, self.tangent - other.tangent)
        return Dual(self.value - other, self.tangent)

    def __rsub__(self, other: Any) -> Dual:
        return Dual(other - self.value, -self.tangent)

    def __mul__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value * other.value, self.value * other.tangent + self.tangent * other.value)
        return Dual(self.value * other, self.tangent * other)

    def __truediv__(self, other: float) -> Dual:
        return Dual(self.value / other, self.tangent / other)

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.tangent)

    def __gt__(self, other: float) -> Dual:
        chosen = self.value > other
        return Dual(chosen, chosen)  # a choice between numbers is one between their tangents

    def __matmul__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value @ other.value, self.value @ other.tangent + self.tangent @ other.value)
        return Dual(self.value @ other, self.tangent @ other)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            return NotImplemented
        if ufunc is np.tanh:
            y = np.tanh(self.value)
            return Dual(y, (1 - y * y) * self.tangent)
        if ufunc is np.maximum:  # of a and 0: relu
            return Dual(np.maximum(self.value, 0), np.where(self.value > 0, self.tangent, 0.0))
        if inputs[0] is not self and isinstance(inputs[0], np.ndarray):
            plain = Dual(inputs[0], np.zeros(inputs[0].shape))
            operation = _REFLECTED.get(ufunc)
            return NotImplemented if operation is None else operation(plain, self)
        return NotImplemented

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function not in _MOVES:
            return NotImplemented
        return Dual(*(function(*_parts(args, which), **kwargs) for which in ("value", "tangent")))


_MOVES = (np.stack, np.concatenate, np.where, np.swapaxes, np.reshape, np.sum)
_REFLECTED: dict[np.ufunc, Callable[[Dual, Dual], Dual]] = {
    np.add: Dual.__add__,
    np.subtract: Dual.__sub__,
    np.multiply: Dual.__mul__,
    np.matmul: Dual.__matmul__,
}


def _parts(arguments: Any, which: str) -> Any:
    """Return the values or the tangents in the arguments of a function that moves or adds elements."""
    if isinstance(arguments, Dual):
        return getattr(arguments, which)
    if isinstance(arguments, list | tuple):
        return type(arguments)(_parts(part, which) for part in arguments)
    numbers = isinstance(arguments, float) or (isinstance(arguments, np.ndarray) and arguments.dtype == np.float64)
    return np.zeros_like(arguments) if which == "tangent" and numbers else arguments
