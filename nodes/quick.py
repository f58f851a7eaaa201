"""The whole edit in one node, for people in a hurry."""

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ..fice_core.editing import edit
from ..fice_core.latents import generator_id
from ..fice_core.models import Models
from ..fice_core.prompts import lines_of
from ..fice_core.settings import EditSettings, LossWeights
from . import models
from .inversion import Recorder, pixels_at_once
from .runtime import (
    Progress,
    check_cancelled,
    from_image,
    from_mask,
    on_device,
    require_some,
    tell,
    to_image,
    to_mask,
)
from .settings import SEED, STEPS
from .sockets import (
    ClipSocket,
    DensePoseSocket,
    EncoderSocket,
    GeneratorSocket,
    LatentSocket,
    LatentValue,
    Loaded,
    SegmenterSocket,
    SettingsSocket,
    TraceSocket,
    WeightsSocket,
)

_PRESETS = {"default": EditSettings(), "paper": EditSettings.paper()}
_NETWORKS = {
    "generator": GeneratorSocket,
    "encoder": EncoderSocket,
    "clip": ClipSocket,
    "densepose": DensePoseSocket,
    "segmenter": SegmenterSocket,
}


class Edit(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_Edit",
            display_name="Fashion Edit (FICE)",
            category="FICE",
            description="Dresses the person in a photo as a sentence says: same person, pose, face and "
            "background. All stages in one; the demonstration models serve where nothing is connected.",
            search_aliases=[
                "fice",
                "change clothes",
                "outfit",
                "garment",
                "virtual try-on",
                "text edit",
            ],
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="Photos, one person each, of any size; the result has the same size.",
                ),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    dynamic_prompts=True,
                    default="a red striped long sleeve shirt",
                    tooltip="The garment. One line for all photos, one for each, or several lines for a "
                    "single photo. Within a line, | joins prompts and (text:1.5) weighs them.",
                ),
                io.Combo.Input(
                    "preset",
                    options=list(_PRESETS),
                    default="default",
                    tooltip="default: only the garment changes; paper: the authors' method, which takes "
                    "501 steps and keeps only the head.",
                ),
                STEPS,
                SEED,
                io.Mask.Input(
                    "mask", optional=True, tooltip="The edit is kept within it; any size."
                ),
                *(
                    socket.Input(
                        name,
                        optional=True,
                        tooltip=f"Your own {name}; open for the demonstration's.",
                    )
                    for name, socket in _NETWORKS.items()
                ),
                WeightsSocket.Input("weights", optional=True, tooltip="In place of the preset's."),
                SettingsSocket.Input(
                    "settings", optional=True, tooltip="In place of the preset's."
                ),
                io.Int.Input(
                    "frames",
                    default=24,
                    min=0,
                    max=1000,
                    optional=True,
                    tooltip="Pictures on the way that the trace keeps, for Trace Frames; 0 keeps none.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The edited photos."),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="Where they changed, 0 to 1; where it is 0 they are the photo bit for bit.",
                ),
                io.Image.Output(
                    "generated",
                    display_name="generated",
                    tooltip="The generator's pictures before stitching, at its own resolution.",
                ),
                LatentSocket.Output("latent", display_name="latent", tooltip="Their codes."),
                TraceSocket.Output(
                    "trace", display_name="trace", tooltip="Every loss at every step."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        prompt: str,
        preset: str,
        steps: int,
        seed: int,
        mask: torch.Tensor | None = None,
        weights: LossWeights | None = None,
        settings: EditSettings | None = None,
        frames: int = 0,
        **networks: Loaded[Any],
    ) -> io.NodeOutput:
        photos, lines = from_image(image), lines_of(prompt)
        chosen = _chosen(preset, settings, weights, steps, seed)
        within = None if mask is None else _within(mask, photos)
        loaded = {kind: networks.get(kind) or models.demo(kind) for kind in _NETWORKS}
        recorder = Recorder(Progress(cls.hidden.unique_id, steps), steps, frames)
        edits = max(len(photos), len(lines))
        with on_device(*loaded.values(), pixels=pixels_at_once(loaded["generator"], chosen, edits)):
            result = edit(
                Models(**{kind: each.network for kind, each in loaded.items()}),
                photos,
                lines,
                chosen,
                on_step=recorder,
                mask=within,
                between=check_cancelled,
            )
        tell(cls.hidden.unique_id, result.warnings)
        identity = generator_id(loaded["generator"].network)
        return io.NodeOutput(
            to_image(result.images),
            to_mask(result.edit_mask),
            to_image(result.generated),
            LatentValue(result.w_plus.cpu(), identity),
            recorder.trace_of(result.trace),
        )


def _within(mask: torch.Tensor, photos: torch.Tensor) -> torch.Tensor:
    """The mask in the photos' size."""
    within = from_mask(mask, (photos.shape[2], photos.shape[3]))
    require_some(within, "the mask")
    return within


def _chosen(
    preset: str, settings: EditSettings | None, weights: LossWeights | None, steps: int, seed: int
) -> EditSettings:
    base = settings or _PRESETS[preset]
    if settings is None:
        return replace(base, steps=steps, seed=seed, weights=weights or base.weights)
    named = _PRESETS[preset]
    return replace(
        base, steps=steps, seed=seed, stitch=named.stitch, weights=weights or named.weights
    )


NODES: list[type[Any]] = [Edit]
