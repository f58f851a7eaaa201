"""A generator whose weights will not change: what follows from them alone is computed once."""

from torch import Tensor, nn

from ..networks.stylegan2 import EqualizedLinear, Generator, StyledConv
from ..ops.autograd import without_grad
from .module_sharing import map_modules, shallow_copy


def with_precomputed_styles(generator: Generator) -> Generator:
    """A generator with the given one's weights, which must stay as they are now."""
    with without_grad():
        found: Generator = map_modules(generator, _known)
    return found


class _FixedStyledConv(StyledConv):
    """A `StyledConv` that knows its energies."""

    def __init__(self, conv: StyledConv) -> None:
        vars(self).update(vars(shallow_copy(conv)))
        self._modules["affine"] = _fixed_linear(conv.affine)
        self._energies = conv.energies()

    def energies(self) -> Tensor:
        return self._energies


def _known(module: nn.Module) -> nn.Module | None:
    if isinstance(module, StyledConv):
        return _FixedStyledConv(module)
    return _fixed_linear(module) if isinstance(module, EqualizedLinear) else None


def _fixed_linear(linear: EqualizedLinear) -> nn.Linear:
    out_features, in_features = linear.weight.shape
    found = nn.Linear(in_features, out_features, device="meta")
    found.weight = nn.Parameter(linear.weight * linear.weight_gain, requires_grad=False)
    found.bias = nn.Parameter(linear.bias * linear.bias_gain, requires_grad=False)
    return found.eval()
