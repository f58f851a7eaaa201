"""Loads the five networks of an edit, from the demonstration set or a folder of checkpoints."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from . import checkpoints
from .acceleration.fusion import fuse_for_inference
from .errors import FiceError
from .networks.clip import Clip
from .networks.densepose import DensePose
from .networks.e4e import Encoder
from .networks.segmenter import Segmenter
from .networks.stylegan2 import Generator

DEMO_WEIGHTS = Path(__file__).parent / "demo" / "weights"
DOWNLOADED_CLIP = "RN50x4-quickgelu:openai"

# Names of the files of each network, those of the authors first.
_STEMS = {
    "generator": ("generator",),
    "encoder": ("e4e", "encoder"),
    "densepose": ("densepose",),
    "segmenter": ("segmentator", "segmenter"),
    "clip": ("RN50x4", "clip*"),
}
_SUFFIXES = (".safetensors", ".pt", ".pth", ".pkl")


def _fused(load: Callable[..., Any]) -> Callable[..., Any]:
    """The loader, followed by `fuse_for_inference`."""
    return lambda path, **options: fuse_for_inference(load(path, **options))


_PLAIN_LOADERS: dict[str, Callable[..., Any]] = {
    "generator": checkpoints.load_generator,
    "encoder": checkpoints.load_encoder,
    "densepose": checkpoints.load_densepose,
    "segmenter": checkpoints.load_segmenter,
    "clip": checkpoints.load_clip,
}
#: Loaders of networks for use, by kind. A network that is saved again is loaded by `checkpoints`.
LOADERS = _PLAIN_LOADERS | {
    kind: _fused(_PLAIN_LOADERS[kind]) for kind in ("generator", "densepose", "segmenter", "clip")
}


@dataclass(frozen=True)
class Models:
    """The five networks of the method, frozen and on one device.

    Attributes:
        load_encoder: returns the encoder. It is by far the largest of the published networks and is
            used only once per edit. To save memory, it can be loaded at every call. `load_models`
            does this on all devices but CUDA.
    """

    generator: Generator
    load_encoder: Callable[[], Encoder]
    densepose: DensePose
    segmenter: Segmenter
    clip: Clip

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        return next(self.generator.parameters()).device


def load_models(
    source: str | os.PathLike[str] = "demo",
    device: str = "cpu",
    clip: str | os.PathLike[str] | None = None,
    quick: bool = True,
    clip_architecture: str | None = None,
) -> Models:
    """The five networks, loaded from their files.

    Args:
        source: "demo" for the demonstration set in the package, or a folder with the authors' files
            (`generator.pt`, `e4e.pt`, `densepose.pkl`, `segmentator.pt`) or safetensors of them.
        device: a torch device, or "auto" for an accelerator if there is one.
        clip: a file, a folder of a hub download, or open_clip's ARCHITECTURE:WEIGHTS, which may be
            downloaded. By default the folder's `RN50x4.*` or `clip*.*`.
        quick: whether networks are fused for speed (`acceleration.fusion`). If not, every network is
            as in its file.
        clip_architecture: an open_clip name, if the file of CLIP does not tell; see
            `checkpoints.load_clip`.

    Raises:
        FiceError: there is no such folder or device, or a file is missing or contains something else.

    Warns:
        FiceWarning: a setting that a file does not tell is assumed.
    """
    target = resolve_device(device)
    # All files are located before the first is read: a missing one is reported at once.
    files = model_files(source, clip)
    load = LOADERS if quick else _PLAIN_LOADERS
    generator = load["generator"](files["generator"], device=target)
    average = generator.w_avg
    load_encoder = kept_on_gpus(
        partial(load["encoder"], files["encoder"], device=target, average=average), target
    )
    load_encoder()  # reports a wrong file now, while memory is still free
    return Models(
        generator=generator,
        load_encoder=load_encoder,
        densepose=load["densepose"](files["densepose"], device=target),
        segmenter=load["segmenter"](files["segmenter"], device=target),
        clip=load["clip"](clip or files["clip"], device=target, architecture=clip_architecture),
    )


def model_files(
    source: str | os.PathLike[str] = "demo", clip: str | os.PathLike[str] | None = None
) -> dict[str, Path]:
    """The file of each network that `load_models` reads, by kind; without CLIP if `clip` is given.

    Raises:
        FiceError: there is no such folder, or a file is missing.
    """
    folder = _folder(source)
    return {kind: _require(folder, kind) for kind in _STEMS if kind != "clip" or not clip}


def load_network(source: str | os.PathLike[str], kind: str, device: str = "cpu") -> Any:
    """One of the networks that `load_models` loads from `source`, by its kind, such as "densepose".

    Raises:
        FiceError: there is no such folder or device, or the file is missing or contains something else.
    """
    return LOADERS[kind](_require(_folder(source), kind), device=resolve_device(device))


def _folder(source: str | os.PathLike[str]) -> Path:
    folder = DEMO_WEIGHTS if source == "demo" else Path(source)
    if not folder.is_dir():
        hint = (
            "make it with `fice train demo`, or install the package again"
            if source == "demo"
            else 'give the folder with the checkpoints, or "demo"'
        )
        raise FiceError(f"there is no folder of models {folder}: {hint}")
    return folder


def kept_on_gpus(load: Callable[[], Encoder], device: str) -> Callable[[], Encoder]:
    """A function that returns the encoder: `load` itself, or on CUDA one that loads it only once.

    On CUDA, loading takes as long as many steps of an edit. There, the encoder is loaded by this call.
    """
    if torch.device(device).type != "cuda":
        return load
    encoder = load()
    return lambda: encoder


def resolve_device(name: str) -> str:
    """The name of a usable device; "auto" selects CUDA, else Apple's MPS, else the CPU.

    Raises:
        FiceError: the device is unknown or not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).item()  # "meta" can be allocated, but has no values
    except Exception as error:  # torch, or the package of the device, may raise anything
        raise FiceError(
            f"the device {name!r} is unknown or not usable here: try {', '.join(_usable_devices())}"
        ) from error
    return name


def _usable_devices() -> list[str]:
    """What can be given as a device on this machine."""
    found = ["auto", "cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    return [*found, "mps"] if torch.backends.mps.is_available() else found


def _find(folder: Path, kind: str) -> Path | None:
    for stem in _STEMS[kind]:
        for suffix in _SUFFIXES:
            matches = sorted(folder.glob(stem + suffix))
            if matches:
                return matches[0]
    return None


def _require(folder: Path, kind: str) -> Path:
    path = _find(folder, kind)
    if path is None:
        names = " or ".join(f"{stem}.*" for stem in _STEMS[kind])
        other = f", or name one to download, such as {DOWNLOADED_CLIP}" if kind == "clip" else ""
        raise FiceError(
            f"the {kind} is missing: put {names} ({', '.join(_SUFFIXES)}) into {folder}{other}"
        )
    return path
