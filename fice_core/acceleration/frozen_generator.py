"""A generator whose weights do not change: values that depend only on them are computed once."""

from torch import Tensor, nn

from ..networks.stylegan2 import Generator
from ..networks.stylegan2_layers import EqualizedLinear, StyledConv
from ..ops.autograd import without_grad
from .module_sharing import map_modules, shallow_copy


def with_precomputed_styles(generator: Generator) -> Generator:
    """A generator that shares the weights of the given one; they must not change any more."""
    with without_grad():
        fixed: Generator = map_modules(generator, _fixed)
    return fixed


class _FixedStyledConv(StyledConv):
    """A `StyledConv` with precomputed energies and a plain affine layer."""

    def __init__(self, conv: StyledConv) -> None:
        vars(self).update(vars(shallow_copy(conv)))
        self._modules["affine"] = _fixed_linear(conv.affine)
        self._energies = conv.energies()

    def energies(self) -> Tensor:
        return self._energies


def _fixed(module: nn.Module) -> nn.Module | None:
    """The module with precomputed values; None for one that stays as it is."""
    if isinstance(module, StyledConv):
        return _FixedStyledConv(module)
    return _fixed_linear(module) if isinstance(module, EqualizedLinear) else None


def _fixed_linear(linear: EqualizedLinear) -> nn.Linear:
    out_features, in_features = linear.weight.shape
    plain = nn.Linear(in_features, out_features, device="meta")
    plain.weight = nn.Parameter(linear.weight * linear.weight_gain, requires_grad=False)
    plain.bias = nn.Parameter(linear.bias * linear.bias_gain, requires_grad=False)
    return plain.eval()
