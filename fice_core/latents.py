"""W+ codes: the statistics of W, saving and loading, interpolation and mixing."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch

from .errors import FiceError, printable
from .files import KIND_KEY, write_safetensors
from .networks.stylegan2 import Generator
from .ops.autograd import without_grad

_KIND = "latent"
_VARIANCE_FLOOR = 0.01


@dataclass(frozen=True)
class LatentStatistics:
    """Mean and covariance of W, the output space of the mapping network.

    Attributes:
        mean: (w_dim,).
        whitening: (w_dim, w_dim), symmetric; (w - mean) @ whitening has about unit variance.
        spread: its inverse, symmetric; the change of w for a unit step in a whitened coordinate is
            the row of that coordinate.
        std: overall standard deviation of one component of w.
    """

    mean: torch.Tensor
    whitening: torch.Tensor
    spread: torch.Tensor
    std: float

    def whiten(self, w: torch.Tensor) -> torch.Tensor:
        """Whitened w, (..., w_dim): about N(0, 1) per component for w of the mapping network."""
        return (w - self.mean) @ self.whitening

    def to(self, device: torch.device | str) -> "LatentStatistics":
        """The statistics on a device."""
        return LatentStatistics(
            self.mean.to(device), self.whitening.to(device), self.spread.to(device), self.std
        )


def latent_statistics(generator: Generator, samples: int = 8192) -> LatentStatistics:
    """Statistics of W, estimated from `samples` random z that are the same at every call.

    The variance of a direction is at least 1 percent of the mean variance. Otherwise distances in
    directions in which W hardly varies would be infinite, and an encoder's code could not be optimised.
    """
    rng = torch.Generator().manual_seed(0)
    with without_grad():
        z = torch.randn(samples, generator.z_dim, generator=rng)
        w = generator.mapping(z.to(next(generator.parameters()).device)).cpu().double()
        mean = w.mean(dim=0)
        variances, axes = torch.linalg.eigh(torch.cov(w.T))
        average = variances.mean()
        deviations = variances.clamp_min(_VARIANCE_FLOOR * average).sqrt()
        whitening = (axes / deviations) @ axes.T
        spread = (axes * deviations) @ axes.T
        statistics = LatentStatistics(
            mean.float(), whitening.float(), spread.float(), float(average.sqrt())
        )
        return statistics.to(next(generator.parameters()).device)


def check_latent(w_plus: torch.Tensor, generator: Generator) -> None:
    """Raise FiceError unless `w_plus` is a batch of this generator's codes."""
    expected = (generator.num_ws, generator.w_dim)
    if w_plus.ndim != 3 or tuple(w_plus.shape[1:]) != expected:
        raise FiceError(
            f"the latent code has shape {tuple(w_plus.shape)}, but this generator takes "
            f"(N, {expected[0]}, {expected[1]}): use a code made with the same generator"
        )


def generator_id(generator: Generator) -> str:
    """Twelve hexadecimal digits that identify a trained generator."""
    mean = generator.w_avg.detach().float().cpu().contiguous().numpy()
    return hashlib.sha256(mean.tobytes()).hexdigest()[:12]


def save_latent(path: str | os.PathLike[str], w_plus: torch.Tensor, **notes: str) -> None:
    """Write codes (N, num_ws, w_dim) atomically as safetensors, with `notes` as metadata.

    Raises:
        FiceError: the file cannot be written.
        ValueError: the codes have another shape.
    """
    if w_plus.ndim != 3:
        raise ValueError(f"w_plus must be (N, num_ws, w_dim), not {tuple(w_plus.shape)}")
    tensors = {"w_plus": w_plus.detach().float().cpu().contiguous()}
    write_safetensors(path, tensors, {**notes, KIND_KEY: _KIND})


def load_latent(
    path: str | os.PathLike[str], generator: Generator | None = None
) -> tuple[torch.Tensor, dict[str, str]]:
    """Codes that `save_latent` wrote, and their notes.

    Args:
        path: the file.
        generator: if given, the codes must have its number of layers and components.

    Returns:
        (N, num_ws, w_dim) float32, and the notes.

    Raises:
        FiceError: the file is missing or damaged, contains no latent code, or has the wrong shape.
    """
    if not Path(path).is_file():
        raise FiceError(f"there is no latent file {path}")
    try:
        with torch.inference_mode(False), safetensors.safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            keys = list(file.keys())
            w_plus = file.get_tensor("w_plus").float() if "w_plus" in keys else None
    except Exception as error:  # a damaged header makes the reader raise anything
        reason = printable(str(error).partition("\n")[0], 200)
        raise FiceError(f"{path} is not a readable safetensors file: {reason}") from error
    if w_plus is None or w_plus.ndim != 3:
        kind = metadata.pop(KIND_KEY, "unknown")
        raise FiceError(f"{path} contains no latent code (kind: {kind}); save one with save_latent")
    if generator is not None:
        check_latent(w_plus, generator)
    metadata.pop(KIND_KEY, None)
    return w_plus, metadata


def is_latent(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one that `save_latent` wrote, by its header; False if it cannot be read."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get(KIND_KEY) == _KIND
    except Exception:  # as in load_latent
        return False


def interpolate(first: torch.Tensor, second: torch.Tensor, amount: float) -> torch.Tensor:
    """Linear interpolation of two codes: 0 gives `first`, 1 gives `second`; other values extrapolate.

    Raises:
        FiceError: the codes have different numbers of layers or components.
    """
    _check_same_layers(first, second)
    return torch.lerp(first, second, amount)


def mix_layers(
    first: torch.Tensor, second: torch.Tensor, start: int, stop: int, amount: float = 1.0
) -> torch.Tensor:
    """`first` with its layers start..stop-1 moved by `amount` towards those of `second`.

    Coarse layers (low numbers) determine pose and shape, fine ones colour and texture.

    Raises:
        FiceError: the shapes differ, or the range is not within the layers.
    """
    _check_same_layers(first, second)
    num_ws = first.shape[-2]
    if not 0 <= start < stop <= num_ws:
        raise FiceError(f"layers {start}..{stop} are not within 0..{num_ws} (start < stop)")
    mixed = torch.broadcast_to(first, torch.broadcast_shapes(first.shape, second.shape)).clone()
    mixed[..., start:stop, :] = interpolate(first, second, amount)[..., start:stop, :]
    return mixed


def _check_same_layers(first: torch.Tensor, second: torch.Tensor) -> None:
    if first.shape[-2:] != second.shape[-2:]:
        raise FiceError(
            f"the codes have {tuple(first.shape[-2:])} and {tuple(second.shape[-2:])} layers and "
            "components: blend codes of one generator"
        )
