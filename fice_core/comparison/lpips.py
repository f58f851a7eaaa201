"""LPIPS by the package `lpips` (extra `metrics`), with a trunk of torchvision from a file."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from ..checkpoints import plain_weights
from ..errors import FiceError
from .measures import Perceptual

_NETS = {
    "alex": "features.0.weight",
    "vgg": "features.28.weight",
    "squeeze": "features.12.squeeze.weight",
}


def load_lpips(path: str | os.PathLike[str], device: torch.device) -> tuple[str, Perceptual]:
    """The name of the net, which must be told with every value, and the distance.

    Args:
        path: a file of torchvision's alexnet, vgg16 or squeezenet1_1; its keys tell which. The weights of
            the distance itself lie in the package.
        device: where it is computed.

    Raises:
        FiceError: the package is missing, or the file holds something else.
    """
    try:
        import lpips
    except ImportError as error:
        raise FiceError(
            "LPIPS needs the package lpips: install the extra `metrics`, or leave --lpips out"
        ) from error
    state = plain_weights(path)
    net = _net_of(state)
    if net is None:
        raise FiceError(
            f"{path} does not hold the weights of torchvision's alexnet, vgg16 or squeezenet1_1"
        )
    distance = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    fill(distance.net, state)
    distance = distance.eval().requires_grad_(False).to(device)

    def measured(first: Tensor, second: Tensor) -> float:
        with torch.no_grad():
            images = (image[None].to(device) for image in (first, second))
            return float(distance(*images, normalize=True))

    return net, measured


def fill(trunk: nn.Module, state: dict[str, Tensor]) -> None:
    """Load torchvision's weights into a trunk that `lpips` cuts in slices; the numbers of layers are kept."""
    own = trunk.state_dict()
    for name in own:
        if name.startswith("slice"):
            own[name] = state["features." + name.partition(".")[2]]
    trunk.load_state_dict(own)


def _net_of(state: dict[str, Tensor]) -> str | None:
    # vgg16 has more layers, and squeezenet other ones; alexnet's first is 11 pixels wide
    for net in ("squeeze", "vgg"):
        if _NETS[net] in state:
            return net
    first = state.get(_NETS["alex"])
    return "alex" if first is not None and tuple(first.shape[2:]) == (11, 11) else None
