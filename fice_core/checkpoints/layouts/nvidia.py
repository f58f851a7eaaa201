"""The clamp of generators in NVIDIA's files, the one setting that the shapes do not tell.

The modules of stylegan2-ada-pytorch, of the stylegan3 repository and of StyleGAN-Human have
different class names and the same tensors.
"""

from collections.abc import Mapping
from typing import Any

from ..reading.records import look_up

_DEFAULT_CLAMP = 256.0


def find_clamp(prefix: str, tree: Any) -> float | None:
    """The bound of a generator's activations; None for no bound.

    The constructor's arguments are stored beside the weights (`{"G": state, "G_kwargs": arguments}`,
    the authors' file) or in the recorded state of the pickled module. In stylegan2-ada-pytorch the
    clamp is one of the `synthesis_kwargs`, and off if it is not given. In the stylegan3 repository it
    is one of the other arguments, and 256 if it is not given. Without any arguments it is 256, the
    value of the published training configurations.

    Args:
        prefix: of the generator's tensors, such as "G_ema."
        tree: the contents of the file.
    """
    name = prefix.rstrip(".")
    paths = ((f"{name}_kwargs",), ("G_kwargs",), (*name.split("."), "_init_kwargs"))
    values = (look_up(tree, path) for path in paths)
    arguments = next((value for value in values if isinstance(value, Mapping)), {})
    clamp = arguments.get("conv_clamp", _DEFAULT_CLAMP)
    if isinstance(synthesis := arguments.get("synthesis_kwargs"), Mapping):
        clamp = synthesis.get("conv_clamp")
    return float(clamp) if isinstance(clamp, int | float) else None
