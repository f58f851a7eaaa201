"""Tiny random networks, and writers for every file format that networks are published in."""

import io
import json
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fice_core.networks.clip import Clip
from fice_core.networks.densepose import DensePose
from fice_core.networks.e4e import Encoder
from fice_core.networks.sam import Sam
from fice_core.networks.segmenter import Segmenter
from fice_core.networks.stylegan2 import Generator

VOCABULARY = ["a", "blue", "red", "shirt", "striped"]


def tiny_generator(resolution: tuple[int, int] = (16, 16), mapping_layers: int = 2) -> Generator:
    return Generator(resolution, 8, 8, 64, 8, mapping_layers)


def tiny_encoder() -> Encoder:
    return Encoder(32, ((16, 1), (20, 2), (24, 1), (28, 1)), 6, 8)


def tiny_densepose(head: str = "s1x") -> DensePose:
    return DensePose(4, 4, (1, 1, 1, 1), 4, 4, head, 2, 32 if head == "dl" else 4)


def tiny_segmenter() -> Segmenter:
    return Segmenter(stem_channels=4, width=4, blocks=(1, 1, 1, 1), aspp_channels=4)


def tiny_clip(residual: bool = False) -> Clip:
    vision: dict[str, Any] = {"layers": 1, "width": 32, "head_width": 32, "patch_size": 16}
    if residual:
        vision = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 32}
    text = {"context_length": 8, "width": 32, "heads": 2, "layers": 1}
    return Clip(16, vision | {"image_size": 32}, text, vocabulary=VOCABULARY)


def tiny_openai_clip(residual: bool) -> Clip:
    """A CLIP of OpenAI's proportions: heads of width 64, QuickGELU, byte pairs."""
    vision: dict[str, Any] = {"layers": 2, "width": 64, "head_width": 64, "mlp_ratio": 4.0}
    vision |= {"patch_size": 16, "image_size": 32}
    if residual:
        vision = {"layers": [1, 2, 1, 1], "width": 4, "patch_size": None, "image_size": 64}
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
    return Clip(16, vision, text, quick_gelu=True)


def tiny_sam() -> Sam:
    return Sam(
        image_size=64,
        patch_size=8,
        embed_dim=16,
        depth=3,
        num_heads=2,
        mlp_dim=24,
        window_size=3,
        global_blocks=(0, 2),
        prompt_dim=32,
        mask_channels=4,
        decoder_mlp_dim=20,
        quality_dim=12,
    )


TINY: dict[str, Callable[[], nn.Module]] = {
    "generator": tiny_generator,
    "encoder": tiny_encoder,
    "densepose": tiny_densepose,
    "segmenter": tiny_segmenter,
    "clip": tiny_clip,
    "sam": tiny_sam,
}


def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random values in every parameter and buffer, so that a tensor read from elsewhere shows."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=rng) * 0.5 + 0.1)
    return network.eval()


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


# NVIDIA's pickles: modules that carry their own source code, by way of a hook of their package.


class Persistent:
    """Pickles like a module of NVIDIA's persistence: a description instead of a class."""

    def __init__(self, meta: dict[str, Any]) -> None:
        self.meta = meta

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@contextmanager
def nvidia_modules() -> Iterator[type]:
    """Their package, as far as pickling needs it, importable for a moment; yields EasyDict."""

    def _reconstruct_persistent_obj(meta: Any) -> None:
        raise AssertionError("a reader executed what it must only record")

    class EasyDict(dict):
        pass

    names = ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util")
    modules = {name: types.ModuleType(name) for name in names}
    modules["torch_utils"].persistence = modules["torch_utils.persistence"]  # type: ignore[attr-defined]
    modules["dnnlib"].util = modules["dnnlib.util"]  # type: ignore[attr-defined]
    for thing, module in (
        (_reconstruct_persistent_obj, modules["torch_utils.persistence"]),
        (EasyDict, modules["dnnlib.util"]),
    ):
        thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
        setattr(module, thing.__name__, thing)
    sys.modules.update(modules)
    try:
        yield EasyDict
    finally:
        for name in names:
            del sys.modules[name]


def persistent_module(
    state: dict[str, Tensor], class_name: str, source: str, init_kwargs: dict[str, Any]
) -> Persistent:
    """A tree of recorded modules holding `state`; noise, filters and averages are buffers."""
    parameters: OrderedDict[str, Any] = OrderedDict()
    buffers: OrderedDict[str, Any] = OrderedDict()
    children: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        head, _, rest = key.partition(".")
        if rest:
            children.setdefault(head, {})[rest] = value
        elif head in ("noise_const", "w_avg", "resample_filter"):
            buffers[head] = value
        else:
            parameters[head] = nn.Parameter(value)
    modules = OrderedDict(
        (name, persistent_module(child, "SynthesisLayer", source, {}))
        for name, child in children.items()
    )
    fields = {
        "training": False,
        "_parameters": parameters,
        "_buffers": buffers,
        "_non_persistent_buffers_set": set(),
        "_backward_hooks": OrderedDict(),
        "_modules": modules,
        "_init_args": (),
        "_init_kwargs": init_kwargs,
        "weight_gain": np.float64(0.5),
        "img_resolution": np.int64(16),
    }
    return Persistent(
        {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": class_name,
            "state": fields,
        }
    )


def nvidia_layout(network: Generator) -> dict[str, Tensor]:
    """The state dict of the pickled modules, with a filter in every block and layer."""
    state = dict(network.state_dict())
    blur = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64
    layers = {key.rsplit(".", 1)[0] for key in state if key.endswith("noise_const")}
    blocks = {layer.rsplit(".", 1)[0] for layer in layers}
    return state | {f"{name}.resample_filter": blur.clone() for name in layers | blocks}


def write_nvidia(
    path: Path,
    state: dict[str, Tensor],
    source: str = "",
    protocol: int = 4,
    arguments: dict[str, Any] | None = None,
) -> None:
    """{'G', 'D', 'G_ema', ...} as NVIDIA's training script pickles it; G_ema holds `state`.

    `arguments` are its constructor's, of stylegan2-ada-pytorch by default.
    """
    if arguments is None:
        synthesis = {"channel_base": 64, "channel_max": 8, "num_fp16_res": 4, "conv_clamp": 64}
        arguments = {"z_dim": 8, "w_dim": 8, "synthesis_kwargs": synthesis}
    with nvidia_modules() as easy_dict:
        kwargs = easy_dict(
            (key, easy_dict(value) if isinstance(value, dict) else value)
            for key, value in arguments.items()
        )
        other = {key: value + 1 for key, value in state.items()}
        tree = {
            "G": persistent_module(other, "Generator", source, kwargs),
            "D": persistent_module({"b4.out.weight": torch.zeros(1, 4)}, "D", source, {}),
            "G_ema": persistent_module(state, "Generator", source, kwargs),
            "training_set_kwargs": easy_dict(class_name="training.dataset.ImageFolderDataset"),
        }
        path.write_bytes(pickle.dumps(tree, protocol=protocol))


# The other formats


def write_detectron2(path: Path, state: dict[str, Tensor], protocol: int = 2) -> None:
    arrays = {key: value.numpy() for key, value in state.items()}
    tree = {"model": arrays, "__author__": "Detectron2 Model Zoo"}
    path.write_bytes(pickle.dumps(tree, protocol=protocol))


def write_legacy(path: Path, tree: Any) -> None:
    torch.save(tree, path, _use_new_zipfile_serialization=False)


def saved(tree: Any, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(tree, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def rewrite_zip(
    data: bytes, change: Callable[[str, bytes], bytes | None], compression: int = zipfile.ZIP_STORED
) -> bytes:
    """A zip with every member passed through `change` (name below the root, bytes); None drops."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(target, "w", compression) as new,
    ):
        for member in old.namelist():
            content = change(member.split("/", 1)[1], old.read(member))
            if content is not None:
                new.writestr(member, content)
    return target.getvalue()


def safetensors_bytes(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data
