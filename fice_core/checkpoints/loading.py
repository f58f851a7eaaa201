"""Loads a frozen network from a file; one function per network."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from ..errors import FiceError, FiceWarning, printable
from ..files import KIND_KEY
from ..networks.clip import Clip
from ..networks.densepose import DensePose
from ..networks.e4e import Encoder
from ..networks.regions import CLASSES, PersonSegmenter
from ..networks.sam import Sam
from ..networks.stylegan2 import Generator
from .building import build
from .detection import as_clip, identify
from .found import Found
from .layouts import open_clip, parsers
from .layouts.encoders import expanded
from .layouts.folders import weights_file
from .native import NETWORKS, expected_tensors, is_demonstration
from .reading.reader import Contents, read
from .signatures import EXPECTED
from .unused import check_unused

PathLike = str | os.PathLike[str]
Network = TypeVar("Network", bound=nn.Module)
_SEGMENTERS = ("segmenter", "segformer")


def load(path: PathLike, device: str = "cpu") -> nn.Module:
    """The network in a file, one of those that FICE uses: frozen, in eval mode, float32.

    Raises:
        FiceError: the file cannot be read or contains something else.
    """
    contents = read(weights_file(path))
    found = identify(contents)
    if found.kind not in NETWORKS:
        raise FiceError(
            f"{contents.name} is {found.what}; one of FICE's networks was expected{_advice(found)}"
        )
    return _build(found, contents, nn.Module, device)


def load_generator(path: PathLike, device: str = "cpu") -> Generator:
    """A StyleGAN2 generator from a file.

    The file is `generator.pt`, a `.pkl` of NVIDIA or StyleGAN-Human, a `.pt` in rosinality's layout,
    or a `.safetensors`.

    Returns:
        The network on `device`: frozen, in eval mode, float32. The same holds for every loader here.

    Raises:
        FiceError: the file is missing, damaged, asks for code, or contains something else.
    """
    contents = read(path)
    network = _build(_expect(contents, "generator"), contents, Generator, device)
    network.demonstration = is_demonstration(contents.metadata)
    return network


def load_encoder(path: PathLike, device: str = "cpu", average: Tensor | None = None) -> Encoder:
    """An e4e encoder with its latent average, from `e4e.pt` or a `.safetensors`.

    Args:
        path: the file.
        device: device of the network.
        average: the generator's mean of w, (w_dim,), for a file without any average.
    """
    contents = read(path)
    found = _expect(contents, "encoder")
    if average is not None and "latent_avg" not in found.state:
        styles, dim = found.config["num_styles"], found.config["style_dim"]
        if average.numel() == dim:
            note = "has no latent_avg; the generator's mean of w is used"
            state = found.state | {"latent_avg": expanded(average.cpu(), styles, dim)}
            found = replace(found, state=state, notes=(*found.notes, note), problem="")
    return _build(found, contents, Encoder, device)


def load_densepose(path: PathLike, device: str = "cpu") -> DensePose:
    """A DensePose network from a detectron2 model-zoo `.pkl` or a `.safetensors`."""
    contents = read(path)
    return _build(_expect(contents, "densepose"), contents, DensePose, device)


def load_segmenter(
    path: PathLike,
    class_order: Sequence[str] | None = None,
    device: str = "cpu",
    labels: Sequence[str] | None = None,
) -> PersonSegmenter:
    """A segmenter: a DeepLabV3 (`segmentator.pt`, `.safetensors`), or a SegFormer of transformers.

    Args:
        path: the file, or the folder of a hub download. A file of other classes than background, body and
            head has its label map beside it, see `layouts.parsers`.
        class_order: classes of its three outputs; by default those in the file, or background, body,
            head.
        labels: names of its outputs, if no file tells; see `networks.regions.named_channels`.

    Raises:
        FiceError: class_order is not a permutation of these classes, the classes have no names or unknown
            ones, the package transformers is missing, or as for `load_generator`.
    """
    contents = read(weights_file(path))
    found = _expect(contents, *_SEGMENTERS)
    if labels is not None:
        count = len(found.config.get("labels") or CLASSES)
        if found.kind == "segmenter":
            count = found.state["classifier.4.weight"].shape[0]
        named = parsers.channels_of(labels, count, "the list of labels")
        found = replace(found, config=found.config | {"labels": named}, problem="")
    if class_order is not None and found.kind == "segmenter":
        if sorted(class_order) != ["background", "body", "head"]:
            raise FiceError(
                f"class_order must order background, body and head, not {tuple(class_order)}"
            )
        found.config["class_order"] = list(class_order)
    return _build(found, contents, PersonSegmenter, device)


def load_sam(path: PathLike, device: str = "cpu") -> Sam:
    """Segment Anything of any size, from `sam_vit_b_01ec64.pth` or a similar file, or a `.safetensors`."""
    contents = read(path)
    return _build(_expect(contents, "sam"), contents, Sam, device)


def load_clip(path_or_name: PathLike, architecture: str | None = None, device: str = "cpu") -> Clip:
    """A CLIP model from a local file, or by name from open_clip's published weights.

    What the tensors do not tell comes from `architecture`, else from `open_clip_config.json` or
    transformers' `config.json` beside the file. See `clip_detection`.

    Args:
        path_or_name: a file (OpenAI's TorchScript archive, a state dict of open_clip or transformers as
            `.pt`, `.bin` or `.safetensors`), a folder of a hub download, or `architecture:tag` such as
            `RN50x4-quickgelu:openai`. For the latter, open_clip downloads the weights unless its cache
            has them. Nothing else downloads.
        architecture: an open_clip name, with or without `:tag`, for files whose shapes do not tell
            everything. OpenAI's weights get QuickGELU for any name.

    Raises:
        FiceError: as for `load_generator`; or the name is unknown, or the download fails.

    Warns:
        FiceWarning: a setting is assumed.
    """
    if architecture is not None and not architecture.strip():
        raise FiceError("the name of CLIP's architecture is empty: name one, or leave it out")
    tokenizer_folder = None
    if not Path(path_or_name).exists() and (name := open_clip.split_name(str(path_or_name))):
        path_or_name = open_clip.download(*name)
        architecture = architecture or ":".join(name)
        tokenizer = open_clip.architecture_settings(architecture).tokenizer
        tokenizer_folder = open_clip.download_tokenizer(tokenizer) if tokenizer else None
    contents = read(weights_file(path_or_name))
    if architecture is not None and KIND_KEY not in contents.metadata:
        found = as_clip(contents, architecture, tokenizer_folder)
    else:
        found = _expect(contents, "clip")
        if architecture is not None:
            warnings.warn(
                f"{contents.name} says itself what it is: {printable(architecture, 60)} is not used",
                FiceWarning,
                stacklevel=2,
            )
            architecture = None
    try:
        return _build(found, contents, Clip, device)
    except FiceError as error:
        if architecture is None:
            raise
        raise FiceError(f"as {architecture}, {error}") from error


def _expect(contents: Contents, *kinds: str) -> Found:
    """The network in a file; FiceError if it is of none of these kinds."""
    found = identify(contents, kinds[0])
    if found.kind not in kinds:
        wanted = " or ".join(EXPECTED[kind] for kind in kinds)
        raise FiceError(f"{contents.name} is {found.what}; {wanted} was expected{_advice(found)}")
    return found


def _advice(found: Found) -> str:
    """What to use instead of a network that is none of FICE's."""
    return f": {found.problem}" if found.kind == "other" and found.problem else ""


def _build(found: Found, contents: Contents, cls: type[Network], device: str) -> Network:
    """The network; it warns of what is assumed.

    Raises:
        FiceError: it cannot be used.
    """
    if found.problem:
        raise FiceError(f"{contents.name} is {found.what}; {found.problem}")
    network = build(found.kind, found.config, found.state, contents.name, device)
    assert isinstance(network, cls)
    unused = check_unused(found.kind, found.state, expected_tensors(network), contents.name)
    for note in (*found.notes, *([unused] if unused else [])):
        warnings.warn(f"{contents.name} {note}", FiceWarning, stacklevel=3)
    return network
