"""The socket types of the nodes, and the value that each of them carries."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ..fice_core.framing import Frame
from ..fice_core.inversion.trace import Trace
from ..fice_core.networks.clip import Clip
from ..fice_core.networks.densepose import DensePose
from ..fice_core.networks.e4e import Encoder
from ..fice_core.networks.regions import PersonSegmenter
from ..fice_core.networks.sam import Sam
from ..fice_core.networks.stylegan2 import Generator

GeneratorSocket = io.Custom("FICE_GENERATOR")
EncoderSocket = io.Custom("FICE_ENCODER")
ClipSocket = io.Custom("FICE_CLIP")
DensePoseSocket = io.Custom("FICE_DENSEPOSE")
SegmenterSocket = io.Custom("FICE_SEGMENTER")
SamSocket = io.Custom("FICE_SAM")
FrameSocket = io.Custom("FICE_FRAME")
LatentSocket = io.Custom("FICE_LATENT")
PoseSocket = io.Custom("FICE_POSE")
TextSocket = io.Custom("FICE_TEXT")
WeightsSocket = io.Custom("FICE_WEIGHTS")
SettingsSocket = io.Custom("FICE_SETTINGS")
TraceSocket = io.Custom("FICE_TRACE")
ModelsSocket = io.Custom("FICE_MODELS")
#: the networks of an edit, in the order in which nodes list them
NETWORKS: dict[str, type[io.ComfyTypeIO]] = {
    "generator": GeneratorSocket,
    "encoder": EncoderSocket,
    "clip": ClipSocket,
    "densepose": DensePoseSocket,
    "segmenter": SegmenterSocket,
}
#: what they are called in a sentence
TITLES = {
    "generator": "generator",
    "encoder": "encoder",
    "clip": "CLIP network",
    "densepose": "DensePose network",
    "segmenter": "segmenter",
}

_Network = TypeVar("_Network", Generator, Encoder, Clip, DensePose, PersonSegmenter, Sam)


@dataclass(frozen=True)
class Loaded(Generic[_Network]):
    """A network in ComfyUI's memory management, see `device.on_device`."""

    network: _Network
    patcher: ModelPatcher


@dataclass(frozen=True)
class ModelsValue:
    """Networks of one set, by kind; there may be no encoder."""

    networks: dict[str, Loaded[Any]]


@dataclass(frozen=True)
class FrameValue:
    """The frame of the person in each of N photos of one size."""

    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class LatentValue:
    """W+ codes (N, num_ws, w_dim) on the CPU, and the identity of their generator."""

    w_plus: torch.Tensor
    generator: str


@dataclass(frozen=True)
class PoseValue:
    """DensePose part maps (N, 14, S, S) of the framed photos on the CPU, and the network that finds the
    parts of other images."""

    parts: torch.Tensor
    frame: Frame
    densepose: Loaded[DensePose]


@dataclass(frozen=True)
class TextValue:
    """CLIP features (M, D) on the CPU, one row per edit; the network that made them; and, if there is a
    source text, the directions (M, D) from its features."""

    features: torch.Tensor
    clip: Loaded[Clip]
    direction: torch.Tensor | None = None


@dataclass(frozen=True)
class TraceValue:
    """Every loss at every step, and images of some steps: bytes (T, N, H, W, 3) and the steps' numbers."""

    trace: Trace
    frames: torch.Tensor
    steps: tuple[int, ...]
