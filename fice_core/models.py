"""The five networks, from the demonstration set or a folder of checkpoints."""

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

# File names under which a network is looked for, the authors' own first.
_STEMS = {
    "generator": ("generator",),
    "encoder": ("e4e", "encoder"),
    "densepose": ("densepose",),
    "segmenter": ("segmentator", "segmenter"),
    "clip": ("RN50x4", "clip*"),
}
_SUFFIXES = (".safetensors", ".pt", ".pth", ".pkl")


def _quick(load: Callable[..., Any]) -> Callable[..., Any]:
    return lambda path, device="cpu": fuse_for_inference(load(path, device=device))


_PLAIN_LOADERS: dict[str, Callable[..., Any]] = {
    "generator": checkpoints.load_generator,
    "encoder": checkpoints.load_encoder,
    "densepose": checkpoints.load_densepose,
    "segmenter": checkpoints.load_segmenter,
    "clip": checkpoints.load_clip,
}
#: How a network of each kind is loaded to be used; to be saved again, it is loaded by `checkpoints`.
LOADERS = _PLAIN_LOADERS | {
    kind: _quick(_PLAIN_LOADERS[kind]) for kind in ("generator", "densepose", "segmenter", "clip")
}


@dataclass(frozen=True)
class Models:
    """The five networks of the method, frozen and on one device.

    Attributes:
        load_encoder: gives the encoder. It is by far the largest of the published networks and needed
            but once an edit, so that whoever is short of memory loads it then and lets it go again;
            `load_models` does so on all but CUDA devices.
    """

    generator: Generator
    load_encoder: Callable[[], Encoder]
    densepose: DensePose
    segmenter: Segmenter
    clip: Clip

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device


def load_models(
    source: str | os.PathLike[str] = "demo",
    device: str = "cpu",
    clip: str | os.PathLike[str] | None = None,
    quick: bool = True,
) -> Models:
    """Load the five networks.

    Args:
        source: "demo" for the demonstration set in the package, or a folder with the authors' files
            (`generator.pt`, `e4e.pt`, `densepose.pkl`, `segmentator.pt`) or safetensors of them.
        device: a torch device, or "auto" for an accelerator where there is one.
        clip: a file, or open_clip's ARCHITECTURE:WEIGHTS, which it may download. Without it, the
            folder's `RN50x4.*` or `clip*.*`.
        quick: whether networks are made quicker for use, see `networks.quick`; without it every
            network is as its file has it.

    Raises:
        FiceError: no such folder, a file is missing or holds something else, no such device.
    """
    place = resolve_device(device)
    # All files are found before the first is read: two gigabytes are not loaded for nothing.
    files = model_files(source, clip)
    load = LOADERS if quick else _PLAIN_LOADERS
    generator = load["generator"](files["generator"], device=place)
    load_encoder = kept_on_gpus(partial(load["encoder"], files["encoder"], device=place), place)
    load_encoder()  # a file that holds none is found out now, and while memory is still free
    return Models(
        generator=generator,
        load_encoder=load_encoder,
        densepose=load["densepose"](files["densepose"], device=place),
        segmenter=load["segmenter"](files["segmenter"], device=place),
        clip=load["clip"](clip or files["clip"], device=place),
    )


def model_files(
    source: str | os.PathLike[str] = "demo", clip: str | os.PathLike[str] | None = None
) -> dict[str, Path]:
    """The file of each network, by its kind, as `load_models` finds them; none of a `clip` of one's own.

    Raises:
        FiceError: no such folder, or a file is missing.
    """
    folder = DEMO_WEIGHTS if source == "demo" else Path(source)
    if not folder.is_dir():
        hint = (
            "make it with `fice train demo`, or install the package again"
            if source == "demo"
            else 'give the folder with the checkpoints, or "demo"'
        )
        raise FiceError(f"there is no folder of models {folder}: {hint}")
    return {kind: _require(folder, kind) for kind in _STEMS if kind != "clip" or not clip}


def kept_on_gpus(load: Callable[[], Encoder], device: str) -> Callable[[], Encoder]:
    """What gives the encoder: `load`; but on a CUDA device, where that takes as long as many steps, what it
    has given now."""
    if torch.device(device).type != "cuda":
        return load
    encoder = load()
    return lambda: encoder


def resolve_device(name: str) -> str:
    """A device that exists; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        FiceError: unknown, or not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).item()  # "meta" can be allocated, but holds no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise FiceError(
            f"the device {name!r} is unknown or not usable here: try auto, cpu or cuda"
        ) from error
    return name


def _find(folder: Path, kind: str) -> Path | None:
    for stem in _STEMS[kind]:
        for suffix in _SUFFIXES:
            found = sorted(folder.glob(stem + suffix))
            if found:
                return found[0]
    return None


def _require(folder: Path, kind: str) -> Path:
    found = _find(folder, kind)
    if found is None:
        names = " or ".join(f"{stem}.*" for stem in _STEMS[kind])
        other = f", or name one to download, as in {DOWNLOADED_CLIP}" if kind == "clip" else ""
        raise FiceError(
            f"the {kind} is missing: put {names} ({', '.join(_SUFFIXES)}) into {folder}{other}"
        )
    return found
