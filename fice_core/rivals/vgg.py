"""VGG16's features, from a file of torchvision; nothing is downloaded."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from ..checkpoints import plain_weights
from ..errors import FiceError

_UPTO = 23  # torchvision's number of the layer after relu4_3
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Trunk(nn.Module):
    """VGG16 up to relu4_3: images (N, 3, H, W) in [-1, 1] to features (N, 512, H / 8, W / 8)."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg16

        with torch.device("meta"):  # the classifier behind it takes half a gigabyte
            self.features = vgg16(weights=None, init_weights=False).features[:_UPTO]
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.features(((images + 1) / 2 - self.mean) / self.std)
        return found


def load_trunk(path: str | os.PathLike[str], device: torch.device) -> Trunk:
    """The trunk with the weights of a file that holds the state dict of torchvision's `vgg16`.

    Raises:
        FiceError: it holds something else.
    """
    trunk = Trunk()
    state = plain_weights(path)
    try:
        trunk.load_state_dict({name: state[name] for name in trunk.state_dict()}, assign=True)
    except (KeyError, RuntimeError) as error:
        raise FiceError(f"{path} does not hold the weights of torchvision's vgg16") from error
    return trunk.eval().requires_grad_(False).to(device)
