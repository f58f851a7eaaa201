"""Stage 2: the constrained inversion."""

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ..fice_core.errors import FiceError
from ..fice_core.inversion.loop import invert
from ..fice_core.inversion.targets import Targets
from ..fice_core.inversion.terms import Critic, without_missing
from ..fice_core.ops.autograd import without_grad
from ..fice_core.ops.batching import broadcast_rows
from ..fice_core.ops.resize import resize
from ..fice_core.settings import InversionSettings, LossWeights
from .base import Node
from .device import on_device, pixels_at_once
from .inputs import SEED, STEPS, frames_input
from .progress import check_cancelled, recorder_of, tell
from .sockets import (
    GeneratorSocket,
    LatentSocket,
    LatentValue,
    Loaded,
    PoseSocket,
    PoseValue,
    SegmenterSocket,
    SettingsSocket,
    TextSocket,
    TextValue,
    TraceSocket,
    WeightsSocket,
)
from .tensors import framed, from_mask, require_same_generator, require_some, to_image

_DEFAULT = InversionSettings()
_TOUCHED = 0.1  # product of area and body part that counts as an overlap


class ConstrainedInversion(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_ConstrainedInversion",
            display_name="Constrained Inversion (FICE)",
            category="FICE/stages",
            description="Optimises the latent code so that its image matches the text and keeps pose, head "
            "and everything outside the area. If an input is not connected, its loss term is skipped.",
            search_aliases=[
                "fice",
                "optimize",
                "clip guided",
                "stylegan",
                "change clothes",
                "edit garment",
                "gan inversion",
            ],
            inputs=[
                GeneratorSocket.Input(
                    "generator", tooltip="The generator that the latent belongs to."
                ),
                LatentSocket.Input(
                    "latent", tooltip="The code to start from, from Initialize Latent or elsewhere."
                ),
                io.Image.Input(
                    "image", tooltip="The photos that the latent was made from; any size."
                ),
                STEPS,
                SEED,
                frames_input(),
                TextSocket.Input(
                    "text",
                    optional=True,
                    tooltip="Description of the new garment, from Encode Text; leave open to follow no text.",
                ),
                PoseSocket.Input(
                    "pose", optional=True, tooltip="The pose to keep, from Extract Pose."
                ),
                SegmenterSocket.Input(
                    "segmenter", optional=True, tooltip="Finds the head in the edited image."
                ),
                io.Mask.Input(
                    "head",
                    optional=True,
                    tooltip="Mask of the head to keep; any size. Needs a segmenter.",
                ),
                io.Mask.Input(
                    "area",
                    optional=True,
                    tooltip="1 where the image may change, from Edit Area or any other pack; any size.",
                ),
                WeightsSocket.Input(
                    "weights",
                    optional=True,
                    tooltip="Weights of the loss terms; leave open to use the defaults.",
                ),
                SettingsSocket.Input(
                    "settings",
                    optional=True,
                    tooltip="Settings of the optimisation; leave open to use the defaults.",
                ),
            ],
            outputs=[
                LatentSocket.Output(
                    "latent", display_name="latent", tooltip="The optimised codes."
                ),
                io.Image.Output(
                    "generated",
                    display_name="generated",
                    tooltip="Their images, at the generator's resolution. Stitch puts them into the photo.",
                ),
                io.Image.Output(
                    "initial",
                    display_name="initial",
                    tooltip="The images of the codes before the edit, for Edit Mask.",
                ),
                TraceSocket.Output(
                    "trace",
                    display_name="trace",
                    tooltip="Every loss at every step, for Plot Trace.",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
        )

    @classmethod
    def execute(
        cls,
        generator: Loaded[Any],
        latent: LatentValue,
        image: torch.Tensor,
        steps: int,
        seed: int,
        frames: int = 0,
        text: TextValue | None = None,
        pose: PoseValue | None = None,
        segmenter: Loaded[Any] | None = None,
        head: torch.Tensor | None = None,
        area: torch.Tensor | None = None,
        weights: LossWeights | None = None,
        settings: InversionSettings | None = None,
    ) -> io.NodeOutput:
        require_same_generator(latent, generator)
        if head is not None and segmenter is None:
            raise FiceError(
                "a head mask is connected but no segmenter: connect a segmenter, or disconnect the head"
            )
        targets = _targets(generator, latent, image, text, pose, head, area)
        critics: dict[Critic, Loaded[Any] | None] = {
            "clip": text.clip if text else None,
            "densepose": pose.densepose if pose else None,
            "segmenter": segmenter,
        }
        absent = {name for name, critic in critics.items() if critic is None}
        weights = without_missing(weights or _DEFAULT.weights, targets, absent)
        settings = replace(settings or _DEFAULT, steps=steps, seed=seed, weights=weights)
        if targets.keep_mask is None:
            settings = replace(settings, hold=False)
        networks: dict[str, Any] = {
            name: critic.network for name, critic in critics.items() if critic
        }
        used = [generator, *(critic for critic in critics.values() if critic)]
        recorder = recorder_of(cls.hidden, steps, frames)
        early = [*_not_here(settings), *_missed(targets)]
        tell(cls.hidden.unique_id, early)
        with on_device(*used, pixels=pixels_at_once(generator, settings, len(targets))) as device:
            result = invert(
                generator.network,
                targets.to(device),
                settings,
                **networks,
                on_step=recorder,
                check_cancelled=check_cancelled,
            )
        tell(cls.hidden.unique_id, [*early, *result.warnings], logged=early)
        return io.NodeOutput(
            LatentValue(result.w_plus.cpu(), latent.generator),
            to_image(result.images),
            to_image(result.initial),
            recorder.trace_of(result.trace),
        )


def _targets(
    generator: Loaded[Any],
    latent: LatentValue,
    image: torch.Tensor,
    text: TextValue | None,
    pose: PoseValue | None,
    head: torch.Tensor | None,
    area: torch.Tensor | None,
) -> Targets:
    """The targets of the loop on the CPU, one row per edit; None for inputs that are not connected."""
    frame, photos = framed(image, generator)
    samples = {"images": photos, "latent codes": latent.w_plus}
    with without_grad():
        if text is not None:
            samples["prompts"] = text.features
            if text.direction is not None:
                samples["directions"] = text.direction
        if pose is not None:
            samples["poses"] = pose.parts
        if head is not None:
            samples["head masks"] = frame.fit(from_mask(head, frame.size))
        if area is not None:
            where = from_mask(area, frame.size)
            require_some(where, "the area")
            samples["areas"] = 1 - frame.fit(where)
        rows = dict(zip(samples, broadcast_rows(samples), strict=True))
    return Targets(
        images=rows["images"],
        w_plus=rows["latent codes"],
        text_features=rows.get("prompts"),
        parts=rows.get("poses"),
        head=rows.get("head masks"),
        keep_mask=rows.get("areas"),
        direction=rows.get("directions"),
    )


def _missed(targets: Targets) -> list[str]:
    """A warning for every image whose area touches no body part of the pose."""
    if targets.keep_mask is None or targets.parts is None:
        return []
    with without_grad():
        size = (targets.keep_mask.shape[2], targets.keep_mask.shape[3])
        person = resize(targets.parts.sum(dim=1, keepdim=True), size)
        shares = ((1 - targets.keep_mask) * person).flatten(1).amax(dim=1).tolist()
    return [
        f"the area of image {number} misses the person: paint over the garment"
        for number, share in enumerate(shares, start=1)
        if share < _TOUCHED
    ]


def _not_here(settings: InversionSettings) -> list[str]:
    """Warnings about settings that this node does not use."""
    others = {"refine_steps": "Refine Latent", "tune_steps": "Tune Generator"}
    return [
        f"{name} is used by Fashion Edit only: put the node {node} before this one"
        for name, node in others.items()
        if getattr(settings, name)
    ]


NODES: list[type[Any]] = [ConstrainedInversion]
