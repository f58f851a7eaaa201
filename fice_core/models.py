"""Loads the networks of an edit, from the demonstration set or a folder of checkpoints."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from . import checkpoints
from .acceleration.fusion import fuse_for_inference
from .catalogue.folder import missing, networks_in
from .checkpoints.native import is_demonstration
from .checkpoints.reading.reader import read
from .errors import FiceError
from .networks.clip import Clip
from .networks.densepose import DensePose
from .networks.e4e import Encoder
from .networks.regions import PersonSegmenter
from .networks.stylegan2 import Generator

DEMO_WEIGHTS = Path(__file__).parent / "demo" / "weights"
DOWNLOADED_CLIP = "RN50x4-quickgelu:openai"


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
    """The networks of the method, frozen and on one device.

    Attributes:
        load_encoder: returns the encoder. It is by far the largest of the published networks and is
            used only once per edit. To save memory, it can be loaded at every call. `load_models`
            does this on all devices but CUDA. None if there is no encoder: the codes of photos are then
            searched, see `inversion.code_search`.
    """

    generator: Generator
    load_encoder: Callable[[], Encoder] | None
    densepose: DensePose
    segmenter: PersonSegmenter
    clip: Clip

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        return next(self.generator.parameters()).device

    def encoder(self) -> Encoder:
        """The encoder, for what cannot do without one.

        Raises:
            FiceError: there is none.
        """
        if self.load_encoder is None:
            raise FiceError(
                "these models have no encoder, which is needed here: put e4e.* into their folder"
            )
        return self.load_encoder()


def load_models(
    source: str | os.PathLike[str] = "demo",
    device: str = "cpu",
    clip: str | os.PathLike[str] | None = None,
    quick: bool = True,
    clip_architecture: str | None = None,
) -> Models:
    """The networks, loaded from their files; the encoder is optional.

    Args:
        source: "demo" for the demonstration set in the package, or a folder with the authors' files
            (`generator.pt`, `e4e.pt`, `densepose.pkl`, `segmentator.pt`) or others that are recognised by
            their contents, see `catalogue.folder.networks_in`.
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
    load_encoder = None
    if "encoder" in files:
        load_encoder = kept_on_gpus(
            partial(load["encoder"], files["encoder"], device=target, average=generator.w_avg),
            target,
        )
        load_encoder()  # reports a wrong file now, while memory is still free
    return Models(
        generator=generator,
        load_encoder=load_encoder,
        densepose=load["densepose"](files["densepose"], device=target),
        segmenter=load["segmenter"](files["segmenter"], device=target),
        clip=load["clip"](clip or files["clip"], device=target, architecture=clip_architecture),
    )


def are_demonstration(source: str | os.PathLike[str]) -> bool:
    """Whether the generator is a demonstration model, by the head of its file; False if there is none."""
    try:
        path = model_files(source).get("generator")
    except FiceError:  # told when the models are loaded
        return False
    return path is not None and is_demonstration(read(path).metadata)


def model_files(
    source: str | os.PathLike[str] = "demo", clip: str | os.PathLike[str] | None = None
) -> dict[str, Path]:
    """The file of each network that `load_models` reads, by kind; without CLIP if `clip` is given.

    An encoder is optional. See `catalogue.folder.networks_in` for what is found in a folder.

    Raises:
        FiceError: there is no such folder, or a file is missing.
    """
    folder = _folder(source)
    skipped = "clip" if clip else None
    found = networks_in(folder, skipped)
    lacking = missing(found, skipped)
    if not lacking:
        return found
    names = " and the ".join(
        f"{kind.name} ({' or '.join(f'{stem}.*' for stem in kind.stems)})" for kind in lacking
    )
    clip_alone = [kind.name for kind in lacking] == ["clip"]
    other = f", or name one to download, such as {DOWNLOADED_CLIP}" if clip_alone else ""
    raise FiceError(
        f"{folder} lacks the {names}: put what is missing there{other}; `fice models` says where it is "
        "published"
    )


def load_network(source: str | os.PathLike[str], kind: str, device: str = "cpu") -> Any:
    """One of the networks that `load_models` loads from `source`, by its kind, such as "densepose".

    Raises:
        FiceError: there is no such folder or device, or the file is missing or contains something else.
    """
    folder = _folder(source)
    path = networks_in(folder).get(kind)
    if path is None:
        raise FiceError(
            f"{folder} lacks the {kind}: put it there; `fice models` says where it is published"
        )
    return LOADERS[kind](path, device=resolve_device(device))


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
        if torch.device(name).type == "cpu" and name != "cpu":
            raise ValueError("there is one CPU")  # torch takes any number
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
