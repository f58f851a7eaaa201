"""What NVIDIA's files say about a generator beside its weights.

Class names do not matter: the modules of stylegan2-ada-pytorch, of the stylegan3 repository and of
StyleGAN-Human have the same tensors, and shapes tell the rest. Only the clamp must be looked up.
"""

from collections.abc import Mapping
from typing import Any

from ..reading.records import look_up

_DEFAULT_CLAMP = 256.0


def find_clamp(prefix: str, tree: Any) -> float | None:
    """The bound of a generator's activations, None for no bound.

    The constructor's arguments are either stored beside the weights (`{"G": state, "G_kwargs":
    arguments}`, the authors' file) or in the recorded state of the pickled module. In
    stylegan2-ada-pytorch the clamp is one of the `synthesis_kwargs` and off unless they name it; in
    the stylegan3 repository it stands with the other arguments, and is 256 unless they name it.
    Without any arguments it is 256, the value of the published training configurations.

    Args:
        prefix: of the generator's tensors, such as "G_ema."
        tree: all that the file holds.
    """
    name = prefix.rstrip(".")
    places = ((f"{name}_kwargs",), ("G_kwargs",), (*name.split("."), "_init_kwargs"))
    found = (look_up(tree, place) for place in places)
    arguments = next((item for item in found if isinstance(item, Mapping)), {})
    clamp = arguments.get("conv_clamp", _DEFAULT_CLAMP)
    if isinstance(synthesis := arguments.get("synthesis_kwargs"), Mapping):
        clamp = synthesis.get("conv_clamp")
    return float(clamp) if isinstance(clamp, int | float) else None
