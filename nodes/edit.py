"""The whole edit in one node."""

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ..fice_core.editing.pipeline import edit
from ..fice_core.extraction.prompts import lines_of
from ..fice_core.images.mask import remarks as mask_remarks
from ..fice_core.latents import generator_id
from ..fice_core.models import Models
from ..fice_core.networks.e4e import Encoder
from ..fice_core.settings import EditSettings, InversionSettings, LossWeights, Preset, group_values
from .base import Node
from .device import on_device, pixels_at_once
from .inputs import BLENDS, FRAMINGS, GARMENT, SEED, frames_input
from .models import demo, mixed
from .progress import check_cancelled, recorder_of, tell
from .sockets import (
    NETWORKS,
    TITLES,
    LatentSocket,
    LatentValue,
    Loaded,
    ModelsSocket,
    ModelsValue,
    SettingsSocket,
    TraceSocket,
    WeightsSocket,
)
from .tensors import from_image, from_mask, require_some, to_image, to_mask

_AS_PRESET = "as the preset"
_PRESETS: tuple[Preset, ...] = ("default", "paper", "draft", "photo")
_ENCODER = (
    "The encoder that was trained for the generator; leave open to use the demonstration model. A generator "
    "of your own works without one: the code of the photo is then searched, which takes longer."
)
_SEARCHED = 3  # images on the graph for each photo whose code is searched


class Edit(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_Edit",
            display_name="Fashion Edit (FICE)",
            category="FICE",
            description="Edits the garment of the person in a photo as a prompt says; person, pose, "
            "face and background stay. Runs all stages, and uses the demonstration models for networks "
            "that are not connected.",
            search_aliases=[
                "fice",
                "change clothes",
                "clothes swap",
                "clothing swap",
                "outfit",
                "outfit change",
                "dress",
                "garment",
                "virtual try-on",
                "text to clothes",
                "text edit",
                "clip guided",
                "stylegan",
            ],
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="Photos of any size and framing. The result has the same size.",
                ),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    dynamic_prompts=True,
                    default="a red striped long sleeve shirt",
                    tooltip="Description of the garment. One line for all photos, one line per photo, "
                    "or several lines for a single photo. Within a line, | blends prompts and "
                    "(text:1.5) sets a weight.",
                ),
                io.Combo.Input(
                    "preset",
                    options=list(_PRESETS),
                    default="default",
                    tooltip="default: only the garment changes; tuned settings for demonstration models, "
                    "photo for others. photo: the paper's objective in fewer steps. paper: the authors' "
                    "method, which keeps only the head. draft: a quick look.",
                ),
                io.Int.Input(
                    "steps",
                    default=0,
                    advanced=True,
                    min=0,
                    max=5000,
                    tooltip="Number of optimisation steps; 0: those of the preset. Fewer steps are faster "
                    "but follow the text less.",
                ),
                SEED,
                io.Mask.Input(
                    "mask", optional=True, tooltip="Limits the edit to this area; any size."
                ),
                *(
                    socket.Input(
                        name,
                        optional=True,
                        tooltip=_ENCODER
                        if name == "encoder"
                        else f"The {TITLES[name]}; leave open to use the demonstration model.",
                    )
                    for name, socket in NETWORKS.items()
                ),
                WeightsSocket.Input(
                    "weights",
                    optional=True,
                    tooltip="Weights of the loss terms, from Loss Weights; leave open to use the preset's.",
                ),
                SettingsSocket.Input(
                    "settings",
                    optional=True,
                    tooltip="Settings of the optimisation, from Inversion Settings; leave open to use the "
                    "preset's.",
                ),
                frames_input(optional=True),
                GARMENT,
                io.String.Input(
                    "negative",
                    default="",
                    advanced=True,
                    optional=True,
                    tooltip="What to move away from, in the notation of the prompt. May be empty.",
                ),
                io.String.Input(
                    "source",
                    default="",
                    advanced=True,
                    optional=True,
                    tooltip="What the person wears now, for the loss term clip_direction. May be empty.",
                ),
                io.Combo.Input(
                    "framing",
                    options=[_AS_PRESET, *FRAMINGS],
                    default=_AS_PRESET,
                    advanced=True,
                    optional=True,
                    tooltip="auto, as in the default preset: the whole photo if the person fills it, else "
                    "the largest person. person: always the largest person. whole: always the whole photo.",
                ),
                io.Combo.Input(
                    "blend",
                    options=[_AS_PRESET, *BLENDS],
                    default=_AS_PRESET,
                    advanced=True,
                    optional=True,
                    tooltip="How the border of the garment is blended. feathered: by the soft border of the "
                    "mask. pyramid: by a Laplacian pyramid. gradient: in the gradient domain, which takes on "
                    "the photo's light.",
                ),
                ModelsSocket.Input(
                    "models",
                    optional=True,
                    tooltip="All networks at once, from Load Models; leave open to use the demonstration "
                    "models. Networks that are connected one by one take the place of those in it.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The edited photos."),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="Where the photos changed, 0 to 1. Where it is 0, the image is "
                    "the photo, bit for bit.",
                ),
                io.Image.Output(
                    "generated",
                    display_name="generated",
                    tooltip="The generated images before stitching, at the generator's resolution.",
                ),
                LatentSocket.Output(
                    "latent", display_name="latent", tooltip="Latent codes of the generated images."
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
        image: torch.Tensor,
        prompt: str,
        preset: Preset,
        steps: int,
        seed: int,
        mask: torch.Tensor | None = None,
        weights: LossWeights | None = None,
        settings: InversionSettings | None = None,
        frames: int = 0,
        garment: str = "upper",
        negative: str = "",
        source: str = "",
        framing: str = _AS_PRESET,
        blend: str = _AS_PRESET,
        models: ModelsValue | None = None,
        **networks: Loaded[Any],
    ) -> io.NodeOutput:
        photos, lines = from_image(image), lines_of(prompt)
        loaded = _loaded(networks, models)
        base = EditSettings.preset(preset, loaded["generator"].network.demonstration)
        widgets = {"garment": garment, "framing": framing, "stitch": BLENDS.get(blend, blend)}
        chosen = _chosen(base, settings, weights, steps=steps, seed=seed, **widgets)
        within = None if mask is None else _within(mask, photos)
        recorder = recorder_of(cls.hidden, chosen.steps, frames)
        early = [*mixed(loaded), *_of_masks(within)]
        tell(cls.hidden.unique_id, early)

        def on_warning(line: str) -> None:
            early.append(line)
            tell(cls.hidden.unique_id, early, logged=early[:-1])

        edits = max(len(photos), len(lines), 0 if "encoder" in loaded else _SEARCHED * len(photos))
        with on_device(*loaded.values(), pixels=pixels_at_once(loaded["generator"], chosen, edits)):
            result = edit(
                _models(**{kind: each.network for kind, each in loaded.items()}),
                photos,
                lines,
                chosen,
                on_step=recorder,
                mask=within,
                check_cancelled=check_cancelled,
                negative=negative,
                source=source,
                on_warning=on_warning,
            )
        late = [line for line in result.warnings if line not in early]
        tell(cls.hidden.unique_id, [*early, *late], logged=early)
        identity = generator_id(loaded["generator"].network)
        return io.NodeOutput(
            to_image(result.images),
            to_mask(result.edit_mask),
            to_image(result.generated),
            LatentValue(result.w_plus.cpu(), identity),
            recorder.trace_of(result.trace),
        )


def _loaded(networks: dict[str, Loaded[Any]], models: ModelsValue | None) -> dict[str, Loaded[Any]]:
    """All networks: those that are connected, else those of the set, else the demonstration's.

    There is no encoder for a generator that comes without one.
    """
    own = {} if models is None else dict(models.networks)
    connected = {kind: network for kind, network in networks.items() if network is not None}
    if "generator" in connected:
        own.pop("encoder", None)
    own |= connected
    kinds = [kind for kind in NETWORKS if kind != "encoder" or "generator" not in own]
    return {kind: demo(kind) for kind in kinds if kind not in own} | own


def _models(encoder: Encoder | None = None, **others: Any) -> Models:
    return Models(load_encoder=None if encoder is None else lambda: encoder, **others)


def _of_masks(masks: torch.Tensor | None) -> list[str]:
    """What is told of masks (N, 1, H, W), each line once."""
    rows = () if masks is None else masks
    return list(dict.fromkeys(line for mask in rows for line in mask_remarks(mask)))


def _within(mask: torch.Tensor, photos: torch.Tensor) -> torch.Tensor:
    """The mask at the size of the photos."""
    within = from_mask(mask, (photos.shape[2], photos.shape[3]))
    require_some(within, "the mask")
    return within


def _chosen(
    base: EditSettings,
    settings: InversionSettings | None,
    weights: LossWeights | None,
    steps: int,
    **values: Any,
) -> EditSettings:
    """The preset `base`, overlaid with the settings, the weights and the values of widgets."""
    overlay = group_values(settings, InversionSettings) if settings else {}
    # Inversion Settings has no input for these. Its weights are defaults: they have their own socket.
    overlay |= {
        "warmup": base.warmup,
        "steps": steps or base.steps,
        "weights": weights or base.weights,
    }
    overlay |= {name: value for name, value in values.items() if value != _AS_PRESET}
    return replace(base, **overlay)


NODES: list[type[Any]] = [Edit]
