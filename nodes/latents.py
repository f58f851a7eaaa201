"""Latent codes on their own: decode, sample, blend, save, load."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.latest import io

from ..fice_core import latents
from ..fice_core.errors import FiceError
from ..fice_core.extraction.extractors import synthesize
from ..fice_core.ops.autograd import without_grad
from ..fice_core.ops.batching import broadcast_rows
from .base import Node
from .device import on_device
from .sockets import GeneratorSocket, LatentSocket, LatentValue, Loaded
from .tensors import require_same_generator, to_image

_SUFFIX = ".safetensors"
_NOTE = "generator"  # metadata key of a saved latent


class DecodeLatent(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_DecodeLatent",
            display_name="Decode Latent (FICE)",
            category="FICE/latent",
            description="Generates the images of latent codes.",
            search_aliases=["synthesize", "generate", "stylegan", "stylegan sample"],
            inputs=[
                GeneratorSocket.Input(
                    "generator", tooltip="The generator that the latent belongs to."
                ),
                LatentSocket.Input("latent", tooltip="W+ codes."),
            ],
            outputs=[
                io.Image.Output(
                    "image", display_name="image", tooltip="Images at the generator's resolution."
                )
            ],
        )

    @classmethod
    def execute(cls, generator: Loaded[Any], latent: LatentValue) -> io.NodeOutput:
        require_same_generator(latent, generator)
        with on_device(generator) as device:
            images = synthesize(generator.network, latent.w_plus.to(device), clamp=True)
        return io.NodeOutput(to_image(images))


class SampleLatent(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_SampleLatent",
            display_name="Sample Latent (FICE)",
            category="FICE/latent",
            description="Samples random latent codes: people and clothes that the generator invents.",
            search_aliases=["random latent", "stylegan", "stylegan random", "truncation"],
            inputs=[
                GeneratorSocket.Input("generator", tooltip="The generator to sample from."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**64 - 1,
                    control_after_generate=True,
                    tooltip="The same seed gives the same codes, byte for byte.",
                ),
                io.Int.Input("count", default=1, min=1, max=64, tooltip="Number of codes."),
                io.Float.Input(
                    "truncation",
                    default=0.7,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Distance from the mean of W: 0 is the mean image, 1 the full variety.",
                ),
            ],
            outputs=[LatentSocket.Output("latent", display_name="latent", tooltip="W+ codes.")],
        )

    @classmethod
    def execute(
        cls, generator: Loaded[Any], seed: int, count: int, truncation: float
    ) -> io.NodeOutput:
        rng = torch.Generator().manual_seed(seed)
        network = generator.network
        with on_device(generator) as device:
            z = torch.randn(count, network.z_dim, generator=rng).to(device)
            w_plus = network.map(z, truncation).cpu()
            return io.NodeOutput(LatentValue(w_plus, latents.generator_id(network)))


class BlendLatents(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_BlendLatents",
            display_name="Blend Latents (FICE)",
            category="FICE/latent",
            description="Moves a range of layers of one code towards another code. With all layers this is "
            "interpolation, with some it is style mixing.",
            search_aliases=["interpolate", "style mixing", "stylegan", "morph", "mix"],
            inputs=[
                LatentSocket.Input("first", tooltip="The code to start from."),
                LatentSocket.Input(
                    "second", tooltip="The code to move towards, of the same generator."
                ),
                io.Float.Input(
                    "amount",
                    default=0.5,
                    min=-2.0,
                    max=3.0,
                    step=0.05,
                    tooltip="0 is the first code, 1 the second. Values beyond exaggerate the difference.",
                ),
                io.Int.Input(
                    "first_layer",
                    default=0,
                    min=0,
                    max=63,
                    tooltip="First layer that moves. Low layers hold pose and shape, high layers colour.",
                ),
                io.Int.Input(
                    "last_layer",
                    default=63,
                    min=0,
                    max=63,
                    tooltip="Last layer that moves. A number beyond the last layer means all.",
                ),
            ],
            outputs=[
                LatentSocket.Output("latent", display_name="latent", tooltip="The blended codes.")
            ],
        )

    @classmethod
    def execute(
        cls,
        first: LatentValue,
        second: LatentValue,
        amount: float,
        first_layer: int,
        last_layer: int,
    ) -> io.NodeOutput:
        if first.generator != second.generator:
            raise FiceError(
                "the two latents belong to different generators: blend codes of one generator"
            )
        with without_grad():
            a, b = broadcast_rows({"first codes": first.w_plus, "second codes": second.w_plus})
            stop = min(last_layer + 1, a.shape[1])
            mixed = latents.mix_layers(a, b, first_layer, stop, amount)
        return io.NodeOutput(LatentValue(mixed, first.generator))


class SaveLatent(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_SaveLatent",
            display_name="Save Latent (FICE)",
            category="FICE/latent",
            description="Writes latent codes to ComfyUI's output folder, for Load Latent.",
            search_aliases=["export latent", "store code"],
            is_output_node=True,
            inputs=[
                LatentSocket.Input("latent", tooltip="W+ codes. A batch goes into one file."),
                io.String.Input(
                    "filename_prefix",
                    default="fice/latent",
                    tooltip="Folder and start of the file name. A number is added.",
                ),
            ],
            outputs=[
                LatentSocket.Output("latent", display_name="latent", tooltip="The same codes.")
            ],
        )

    @classmethod
    def execute(cls, latent: LatentValue, filename_prefix: str) -> io.NodeOutput:
        folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        name = f"{stem}_{counter:05}_{_SUFFIX}"
        latents.save_latent(Path(folder) / name, latent.w_plus, **{_NOTE: latent.generator})
        saved = {"filename": name, "subfolder": subfolder, "type": "output"}
        return io.NodeOutput(latent, ui={"latents": [saved]})


class LoadLatent(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_LoadLatent",
            display_name="Load Latent (FICE)",
            category="FICE/latent",
            description="Reads latent codes that Save Latent wrote.",
            search_aliases=["import latent", "open code"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=_saved(),
                    tooltip="A latent in ComfyUI's output or input folder, or in a folder there. Press R "
                    "after saving one.",
                )
            ],
            outputs=[LatentSocket.Output("latent", display_name="latent", tooltip="W+ codes.")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        if folder_paths.exists_annotated_filepath(file):
            return True
        return (
            f"there is no latent {file!r}: run Save Latent first, then press R and choose the file"
        )

    @classmethod
    def fingerprint_inputs(cls, file: str) -> float:
        return os.path.getmtime(folder_paths.get_annotated_filepath(file))

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        w_plus, notes = latents.load_latent(folder_paths.get_annotated_filepath(file))
        return io.NodeOutput(LatentValue(w_plus, notes.get(_NOTE, "unknown")))


def _saved() -> list[str]:
    """Latents in the output and input folders and one level below, with the annotation that ComfyUI uses.

    An output folder may hold years of work, so deeper folders are not walked; their latents load by name.
    """
    found = []
    for place, root in (
        ("output", Path(folder_paths.get_output_directory())),
        ("input", Path(folder_paths.get_input_directory())),
    ):
        for folder in (root, *_folders(root, _changed(root))):
            names = _latents(folder, _changed(folder))
            found += [f"{(folder / n).relative_to(root).as_posix()} [{place}]" for n in names]
    return found


def _changed(folder: Path) -> int:
    """When a name in the folder last changed, in nanoseconds; 0 if there is no such folder."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1024)
def _folders(root: Path, changed: int) -> tuple[Path, ...]:
    """The folders in a folder as it was at `changed`."""
    if not changed:
        return ()
    with os.scandir(root) as entries:
        return tuple(sorted(Path(entry.path) for entry in entries if entry.is_dir()))


@lru_cache(maxsize=1024)
def _latents(folder: Path, changed: int) -> tuple[str, ...]:
    """Names of the latents in a folder as it was at `changed`; other safetensors files are left out."""
    if not changed:
        return ()
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name.endswith(_SUFFIX))
    return tuple(name for name in names if latents.is_latent(folder / name))


NODES: list[type[Any]] = [DecodeLatent, SampleLatent, BlendLatents, SaveLatent, LoadLatent]
