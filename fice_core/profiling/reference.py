"""The authors' step in plain torch, as the baseline for our step.

It has one graph from the codes through every network, one weighted sum, one backward pass, and Adam.
Batch normalisations are not folded, modulated convolutions are grouped convolutions with one weight per
sample, DensePose predicts all four maps, and everything is float32 and contiguous. Nothing is done to
save memory. Losses and gradients equal those of our step, as a test shows.
"""

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..inversion.targets import Targets
from ..models import Models
from ..networks.densepose import DensePose
from ..networks.resnet import ConvolutionNorm
from ..networks.stylegan2_layers import EPSILON, GAIN, LEAKY_SLOPE, StyledConv, ToRGB, smooth
from ..settings import EditSettings

Network = TypeVar("Network", bound=nn.Module)
_T = TypeVar("_T")


class PlainLoop:
    """The authors' optimisation loop, one step at a time.

    Args:
        models: loaded with `quick=False`.
        targets: initial codes and targets of the losses; every field but `direction` is needed.
        settings: the weights of the paper's five terms, the learning rate, and `clamp` are used.
        steps: number of steps of one `lap`.
    """

    def __init__(
        self, models: Models, targets: Targets, settings: EditSettings, steps: int = 1
    ) -> None:
        self.steps = steps
        self._models = plain_models(models)
        self._targets = targets.clone()
        self._weights = settings.weights
        self._clamp = settings.clamp
        self.codes = targets.w_plus.detach().clone().requires_grad_()
        self._optimizer = torch.optim.Adam([self.codes], lr=settings.learning_rate)

    def losses(self) -> dict[str, Tensor]:
        """Unweighted terms at the current codes, (N,) each, differentiable."""
        models, goal = self._models, self._targets
        assert goal.text_features is not None and goal.parts is not None
        assert goal.head is not None and goal.keep_mask is not None
        images = models.generator.synthesize(self.codes)
        if self._clamp:
            images = images.clamp(0, 1)
        features = models.clip.encode_image(images)
        pose = _parts(models.densepose, images) - goal.parts
        head = models.segmenter(images).head - goal.head
        kept = goal.keep_mask * (images - goal.images)
        return {
            "clip": 1 - F.cosine_similarity(features, goal.text_features),
            "pose": pose.square().mean(dim=(1, 2, 3)),
            "head": head.square().mean(dim=(1, 2, 3)),
            "image": kept.square().mean(dim=(1, 2, 3)),
            "latent": (self.codes[:, 1:] - self.codes[:, :1]).square().mean(dim=(1, 2)),
        }

    def step(self) -> None:
        """Compute losses and gradient, and update the codes."""
        self._optimizer.zero_grad()
        weighted = [getattr(self._weights, name) * v.sum() for name, v in self.losses().items()]
        torch.stack(weighted).sum().backward()
        self._optimizer.step()

    def lap(self, read: Callable[[], _T]) -> tuple[_T, _T]:
        """Run `steps` steps; returns the values of `read` before and after them."""
        first = read()
        for _ in range(self.steps):
            self.step()
        return first, read()


def plain_models(models: Models) -> Models:
    """Copies of the networks in plain form; the encoder is kept in memory too.

    Parameters that are already contiguous share their memory with the originals.
    """
    encoder = models.encoder()
    return Models(
        generator=_plain(models.generator),
        load_encoder=lambda: encoder,
        densepose=_plain(models.densepose),
        segmenter=_plain(models.segmenter),
        clip=_plain(models.clip),
    )


def _plain(network: Network) -> Network:
    shared: dict[int, object] = {}
    for parameter in network.parameters():
        shared[id(parameter)] = nn.Parameter(parameter.detach().contiguous(), requires_grad=False)
    for buffer in network.buffers():
        shared[id(buffer)] = buffer
    plain = copy.deepcopy(network, shared)
    for module in [*plain.modules()]:
        for name, child in [*module.named_children()]:
            if isinstance(child, ConvolutionNorm):
                setattr(module, name, _batch_norm(child))
            elif isinstance(child, StyledConv):
                setattr(module, name, _GroupedStyledConv(child))
            elif isinstance(child, ToRGB):
                setattr(module, name, _GroupedToRGB(child))
    return plain.eval()


def _batch_norm(norm: ConvolutionNorm) -> nn.BatchNorm2d:
    plain = nn.BatchNorm2d(norm.num_features, norm.eps)
    plain.load_state_dict(norm.state_dict(), assign=True)
    return plain.requires_grad_(False)


class _GroupedStyledConv(nn.Module):
    """`StyledConv` with one modulated and demodulated weight per sample."""

    def __init__(self, layer: StyledConv) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        layer = self.layer
        count, channels, height, width = x.shape
        style = layer.affine(w)
        weight = layer.weight * style[:, None, :, None, None]
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + EPSILON)
        x = x.reshape(1, count * channels, height, width)
        if layer.up:
            x = F.conv_transpose2d(x, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=count)
            x = smooth(x)
        else:
            x = F.conv2d(x, weight.flatten(0, 1), padding=1, groups=count)
        x = x.reshape(count, -1, *x.shape[2:])
        x = x + layer.noise_const * layer.noise_strength
        x = x + layer.bias[:, None, None]
        x = F.leaky_relu(x, LEAKY_SLOPE) * GAIN
        return x if layer.clamp is None else x.clamp(-layer.clamp, layer.clamp)


class _GroupedToRGB(nn.Module):
    """`ToRGB` with one modulated weight per sample."""

    def __init__(self, layer: ToRGB) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        layer = self.layer
        count, channels, height, width = x.shape
        style = layer.affine(w) * layer.weight_gain
        weight = (layer.weight * style[:, None, :, None, None]).flatten(0, 1)
        x = x.reshape(1, count * channels, height, width)
        rgb = F.conv2d(x, weight, groups=count).reshape(count, -1, height, width)
        rgb = rgb + layer.bias[:, None, None]
        return rgb if layer.clamp is None else rgb.clamp(-layer.clamp, layer.clamp)


def _parts(densepose: DensePose, images: Tensor) -> Tensor:
    """The result of `DensePose.forward`, computed together with the u and v charts."""
    charts = densepose.predict_charts(images)
    foreground = 1 - charts.coarse.softmax(1)[:, :1]
    fine = charts.fine.softmax(1)
    return torch.cat([fine[:, 1:5], fine[:, 15:25]], 1) * foreground
