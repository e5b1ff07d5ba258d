"""A right LSTM in plain operations of torch, and wrong ones: each departs in one of torch's behaviours, not in numbers.

``FAULTS`` has the wrong ones by the requirement that decides them. The known faults of the suite are NumPy's and have
no autograd, state_dict or memory layout, so these are their counterpart for the area "torch".
"""

from __future__ import annotations

import torch
from torch import nn

FAULTS: dict[str, type[nn.Module]] = {}


def decided_by(requirement):
    """Store a wrong module under the requirement that decides it."""

    def mark(module):
        FAULTS[f"TORCH-{requirement}"] = module
        return module

    return mark


class RightLSTM(nn.Module):
    """An LSTM of one layer that takes x (T, N, I) and has torch.nn's names. Faults change a part of it."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.weight_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(4 * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(4 * hidden_size))

    def weights(self):
        """Return the parameters that a call uses: W_ih, W_hh, b_ih, b_hh."""
        return self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0

    def product(self, x, W):
        """Return x W^T."""
        return x @ W.T

    def tanh(self, a):
        return torch.tanh(a)

    def cell_state(self, f, c, i, g):
        return f * c + i * g

    def forward(self, x, states=None):
        W_ih, W_hh, b_ih, b_hh = self.weights()
        if states is None:
            h = c = x.new_zeros(x.shape[1], W_hh.shape[1])
        else:
            h, c = states[0][0], states[1][0]
        output = []
        for x_t in x:
            a = self.product(x_t, W_ih) + self.product(h, W_hh)
            a = a if b_ih is None else a + b_ih + b_hh
            i, f, g, o = a.chunk(4, -1)
            c = self.cell_state(torch.sigmoid(f), c, torch.sigmoid(i), self.tanh(g))
            h = torch.sigmoid(o) * torch.tanh(c)
            output.append(h)
        return torch.stack(output), (h[None], c[None])


# --- autograd ----------------------------------------------------------------------------------------


@decided_by("GRAD-SUBSETS")
class StatesWithX(RightLSTM):
    """The states get gradients only where x requires one: a kernel that asks needs_input_grad of its first argument."""

    def forward(self, x, states=None):
        if states is not None and not x.requires_grad:
            states = tuple(state.detach() for state in states)
        return super().forward(x, states)


@decided_by("GRAD-FROZEN")
class BiasesWithWeights(RightLSTM):
    """The biases get gradients only where weight_ih requires one."""

    def weights(self):
        W_ih, W_hh, *biases = super().weights()
        return W_ih, W_hh, *(b if W_ih.requires_grad else b.detach() for b in biases)


class Prepare(torch.autograd.Function):
    """The identity, whose backward pass prepares a buffer in .grad, as fused optimizers want it."""

    @staticmethod
    def forward(ctx, x, parameter):
        ctx.parameter = parameter
        return x.clone()

    @staticmethod
    def backward(ctx, d):
        if ctx.parameter.grad is None:
            ctx.parameter.grad = torch.zeros_like(ctx.parameter)
        return d, None


@decided_by("GRAD-LEFT")
class PreparedGrad(RightLSTM):
    """torch.autograd.grad leaves zeros in .grad where it was None."""

    def forward(self, x, states=None):
        output, states = super().forward(x, states)
        return Prepare.apply(output, self.weight_hh_l0), states


class TanhInItsBuffer(torch.autograd.Function):
    """tanh whose backward pass writes into the buffer that the forward pass kept, as cuDNN's reserve space is used."""

    @staticmethod
    def forward(ctx, a):
        y = torch.tanh(a)
        ctx.kept = y.clone()
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d):
        return ctx.kept.mul_(ctx.kept).neg_().add_(1).mul_(d)


@decided_by("BACKWARD-TWICE")
class WrittenBuffer(RightLSTM):
    """A second backward pass on the same graph reads what the first one wrote."""

    def tanh(self, a):
        return TanhInItsBuffer.apply(a).clone()


class UnsavedProduct(torch.autograd.Function):
    """x W^T that keeps x and W beside save_for_backward, where no version counter protects them."""

    @staticmethod
    def forward(ctx, x, W):
        ctx.x, ctx.W = x.detach(), W.detach()
        return x @ W.T

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d):
        return d @ ctx.W.to(d.dtype), d.T @ ctx.x.to(d.dtype)


@decided_by("GRAD-IN-PLACE")
class Unsaved(RightLSTM):
    """Tensors that were changed in place since the forward pass give wrong gradients and no error."""

    def product(self, x, W):
        return UnsavedProduct.apply(x, W)


class Remembered(torch.autograd.Function):
    """The identity of three results whose backward pass remembers its first answer."""

    @staticmethod
    def forward(ctx, *results):
        ctx.answer = None
        return tuple(result.clone() for result in results)

    @staticmethod
    def backward(ctx, *d):
        if ctx.answer is None:
            ctx.answer = d
        return ctx.answer


@decided_by("COTANGENTS")
class RememberedCotangents(RightLSTM):
    """On one graph the first cotangents count, whichever come later."""

    def forward(self, x, states=None):
        output, (h_n, c_n) = super().forward(x, states)
        output, h_n, c_n = Remembered.apply(output, h_n, c_n)
        return output, (h_n, c_n)


class DetachedTanh(torch.autograd.Function):
    """tanh whose backward pass is no function of a any more: a kernel of which autograd knows nothing."""

    @staticmethod
    def forward(ctx, a):
        y = torch.tanh(a)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, d):
        (y,) = ctx.saved_tensors
        return d * (1 - y.detach() ** 2)


@decided_by("DOUBLE-BACKWARD")
class DetachedDerivative(RightLSTM):
    """Gradients of gradients lack a part, without an error."""

    def tanh(self, a):
        return DetachedTanh.apply(a)


# --- parameters --------------------------------------------------------------------------------------


@decided_by("FUNCTIONAL-CALL")
class FlatWeights(RightLSTM):
    """A list of the parameters, made once, counts in the place of the attributes."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.flat = list(self.parameters())

    def weights(self):
        return self.flat


@decided_by("PARAMETRIZED")
class RegisteredBiases(RightLSTM):
    """Biases that are not among the registered parameters, as parametrized ones are not, count as bias=False."""

    def weights(self):
        W_ih, W_hh, _, _ = super().weights()
        return W_ih, W_hh, self._parameters.get("bias_ih_l0"), self._parameters.get("bias_hh_l0")


@decided_by("STATE-DICT")
class OtherOrderSaved(RightLSTM):
    """state_dict has the gates in ONNX's order i|o|f|g, and load_state_dict takes PyTorch's."""

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in self._parameters:
            i, f, g, o = destination[prefix + name].chunk(4)
            destination[prefix + name] = torch.cat([i, o, f, g])


@decided_by("DEEPCOPY")
class BoundProduct(RightLSTM):
    """A function of the first module remains that of its copy: closures are not copied."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.of_states = lambda h: h @ self.weight_hh_l0.T

    def product(self, x, W):
        return self.of_states(x) if W is self.weight_hh_l0 else super().product(x, W)


@decided_by("TRAINING-MODE")
class MergedBias(RightLSTM):
    """eval() adds a term to the bias and train() takes it off, also in a module that eval() never saw."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.extra = 0.0

    def train(self, mode=True):
        self.extra = self.extra + 0.5 if not mode else self.extra - 0.5
        return super().train(mode)

    def weights(self):
        W_ih, W_hh, b_ih, b_hh = super().weights()
        return W_ih, W_hh, b_ih, b_hh + (self.extra if self.training else 0.0)


# --- memory and precision ----------------------------------------------------------------------------


def as_if_contiguous(a):
    """Return the numbers that a kernel finds that knows the address and the shape alone."""
    strides = torch.empty(a.shape, device="meta").stride()
    return a.as_strided(a.shape, strides)


@decided_by("VIEWS-ARGUMENTS")
class ContiguousArguments(RightLSTM):
    """x is read as if it were contiguous."""

    def forward(self, x, states=None):
        return super().forward(as_if_contiguous(x), states)


@decided_by("VIEWS-WEIGHTS")
class ContiguousWeights(RightLSTM):
    """The parameters are read as if they were contiguous."""

    def weights(self):
        return tuple(as_if_contiguous(a) for a in super().weights())


@decided_by("AUTOCAST")
class OneDtype(RightLSTM):
    """A product is added to a buffer of x's dtype by an operation that does not convert."""

    def product(self, x, W):
        rows = torch.arange(len(x))
        return x.new_zeros(len(x), len(W)).index_add(0, rows, x @ W.T)


class PlainProduct(torch.autograd.Function):
    """x W^T whose backward pass takes its cotangent and W to be of one dtype, without custom_bwd."""

    @staticmethod
    def forward(ctx, x, W):
        ctx.save_for_backward(x, W)
        return x @ W.T

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d):
        x, W = ctx.saved_tensors
        return d @ W, d.T @ x


@decided_by("AUTOCAST-GRADIENTS")
class OneDtypeBackwards(RightLSTM):
    """A backward pass that raises an error where the forward pass ran under autocast."""

    def product(self, x, W):
        return PlainProduct.apply(x, W)
