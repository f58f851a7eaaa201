"""Edits of other programs: brought back to the photo, and measured."""

import csv
import io as text_io
import json
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..fice_core.bridges.drift import Drift, measure_drift
from ..fice_core.bridges.found_mask import body_regions
from ..fice_core.bridges.restore import RestoreSettings, restore
from ..fice_core.errors import FiceError
from ..fice_core.extraction.anatomy import BodyRegions
from ..fice_core.ops.autograd import without_grad
from ..fice_core.ops.batching import broadcast_rows
from .base import Node
from .device import on_device
from .inputs import BLENDS, GARMENT
from .progress import check_cancelled, show, tell
from .sockets import DensePoseSocket, Loaded, SegmenterSocket, TextSocket, TextValue
from .tensors import from_image, from_mask, require_some, to_image, to_mask

_DEFAULT = RestoreSettings()


class RestoreEdit(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_RestoreEdit",
            display_name="Restore Edit (FICE)",
            category="FICE/restore",
            description="Brings an edit that any other model made back to its photo: shift, zoom, stretch, "
            "tone and grain are undone, and outside the garment the result is the photo, bit for bit.",
            search_aliases=[
                "align",
                "register",
                "undo shift",
                "undo zoom",
                "paste back",
                "qwen edit drift",
                "kontext",
                "klein",
                "try-on",
                "change clothes",
                "outfit",
                "keep face",
            ],
            inputs=[
                io.Image.Input("original", tooltip="The photos. The result has their size."),
                io.Image.Input(
                    "edited",
                    tooltip="The same photos as another model edited them, of any size.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="1 where the photo may change; any size. If it is not connected, it is found: "
                    "where the images differ.",
                ),
                DensePoseSocket.Input(
                    "densepose",
                    optional=True,
                    tooltip="With a segmenter: finds the garment in the photo, which joins the found mask.",
                ),
                SegmenterSocket.Input(
                    "segmenter",
                    optional=True,
                    tooltip="With a DensePose: keeps head and hands out of the found mask.",
                ),
                GARMENT,
                io.Combo.Input(
                    "blend",
                    options=list(BLENDS),
                    default="pyramid",
                    optional=True,
                    tooltip="How the border is blended. feathered: by the soft border of the mask. "
                    "pyramid: by a Laplacian pyramid. gradient: in the gradient domain, which takes "
                    "on the photo's light.",
                ),
                io.Boolean.Input(
                    "match_colour",
                    default=True,
                    optional=True,
                    tooltip="Match the tone of the edit to the photo, measured on a ring around the mask.",
                ),
                io.Boolean.Input(
                    "match_grain",
                    default=True,
                    optional=True,
                    tooltip="Add the photo's grain where the edit is smoother.",
                ),
                io.Float.Input(
                    "feather",
                    default=_DEFAULT.feather,
                    advanced=True,
                    min=0.0,
                    max=0.49,
                    step=0.001,
                    optional=True,
                    tooltip="Width of the soft border inside a connected mask, as a fraction of the image "
                    "height.",
                ),
                io.Float.Input(
                    "least_confidence",
                    default=_DEFAULT.least_confidence,
                    advanced=True,
                    min=0.0,
                    max=0.99,
                    step=0.05,
                    optional=True,
                    tooltip="Images that match less than that are refused, 0 to 1; 0 refuses none.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    advanced=True,
                    min=0,
                    max=2**64 - 1,
                    optional=True,
                    control_after_generate=False,
                    tooltip="Seed of the grain.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The restored photos."),
                io.Mask.Output(
                    "changed",
                    display_name="changed",
                    tooltip="1 where the result comes from the edit; the size of the photo.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="Shift, zoom, residual and confidence, a line for each image.",
                ),
                io.Float.Output(
                    "confidence",
                    display_name="confidence",
                    tooltip="How certain it is that edit and photo lie on each other, 0 to 1; the lowest "
                    "of a batch.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        original: torch.Tensor,
        edited: torch.Tensor,
        mask: torch.Tensor | None = None,
        densepose: Loaded[Any] | None = None,
        segmenter: Loaded[Any] | None = None,
        garment: str = "upper",
        blend: str = "pyramid",
        match_colour: bool = True,
        match_grain: bool = True,
        feather: float = _DEFAULT.feather,
        least_confidence: float = _DEFAULT.least_confidence,
        seed: int = 0,
    ) -> io.NodeOutput:
        settings = RestoreSettings(
            garment=garment,  # type: ignore[arg-type]
            stitch=BLENDS[blend],
            match_colour=match_colour,
            match_grain=match_grain,
            feather=feather,
            least_confidence=least_confidence,
            seed=seed,
        )
        photos, edits, masks = _paired("originals", original, "edited images", edited, mask)
        if masks is not None:
            require_some(masks, "the mask")
        found = []
        for number, (photo, edit) in enumerate(zip(photos, edits, strict=True)):
            check_cancelled()
            where = None if masks is None else masks[number]
            body = None if where is not None else _body(densepose, segmenter, photo)
            found.append(restore(photo, edit, where, settings, body))
        lines = [each.line() for each in found]
        show(cls.hidden.unique_id, "\n".join(lines))
        tell(cls.hidden.unique_id, [line for each in found for line in each.warnings])
        with without_grad():
            images, changed = (
                torch.stack(row)
                for row in zip(*((each.image, each.mask) for each in found), strict=True)
            )
        confidence = min(each.registration.confidence for each in found)
        return io.NodeOutput(to_image(images), to_mask(changed), "\n".join(lines), confidence)


class DriftReport(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_DriftReport",
            display_name="Drift Report (FICE)",
            category="FICE/compare",
            description="Measures what an edit by any model changed outside the garment: equal pixels, PSNR, "
            "SSIM, differences, shift and zoom, with a heat map.",
            search_aliases=[
                "compare",
                "psnr",
                "ssim",
                "difference",
                "heat map",
                "shift",
                "quality",
            ],
            is_output_node=True,
            inputs=[
                io.Image.Input("before", tooltip="The photos."),
                io.Image.Input("after", tooltip="The same photos after an edit, of any size."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="1 where the photo may change; any size. If it is not connected or empty, every "
                    "pixel is compared.",
                ),
                DensePoseSocket.Input(
                    "densepose", optional=True, tooltip="Compares the poses before and after."
                ),
                TextSocket.Input(
                    "text",
                    optional=True,
                    tooltip="From Encode Text: how similar the edit is to it for CLIP.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "heat",
                    display_name="heat map",
                    tooltip="Where the images differ, from black to bright yellow at 32 of 255 levels; "
                    "inside the mask the dim photo.",
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="Everything in a line for each pair."
                ),
                io.String.Output("json", display_name="JSON", tooltip="Every figure as JSON."),
                io.String.Output(
                    "csv", display_name="CSV", tooltip="Every figure as CSV, one row a pair."
                ),
                io.Float.Output(
                    "equal",
                    display_name="equal",
                    tooltip="Share of the pixels outside the mask that are equal bit for bit, 0 to 1; "
                    "the lowest of a batch.",
                ),
                io.Float.Output(
                    "psnr",
                    display_name="PSNR",
                    tooltip="Peak signal-to-noise ratio in dB outside the mask, infinite if nothing "
                    "differs; the lowest of a batch.",
                ),
                io.Float.Output(
                    "ssim",
                    display_name="SSIM",
                    tooltip="Structural similarity outside the mask, at most 1; the lowest of a batch.",
                ),
                io.Float.Output(
                    "confidence",
                    display_name="confidence",
                    tooltip="How certain shift and zoom are, 0 to 1; the lowest of a batch.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        before: torch.Tensor,
        after: torch.Tensor,
        mask: torch.Tensor | None = None,
        densepose: Loaded[Any] | None = None,
        text: TextValue | None = None,
    ) -> io.NodeOutput:
        photos, edits, masks = _paired("images before", before, "images after", after, mask)
        found = []
        for number, (photo, edit) in enumerate(zip(photos, edits, strict=True)):
            check_cancelled()
            where = None if masks is None else masks[number]
            found.append(_measured(photo, edit, where, densepose, text, number))
        drifts, maps = [drift for drift, _ in found], torch.stack([heat for _, heat in found])
        report = "\n".join(drift.line() for drift in drifts)
        show(cls.hidden.unique_id, report)
        registrations = [drift.registration for drift in drifts]
        return io.NodeOutput(
            to_image(maps),
            report,
            json.dumps([drift.to_dict() for drift in drifts], indent=1),
            _table([drift.row() for drift in drifts]),
            min(drift.equal for drift in drifts),
            min(drift.psnr for drift in drifts),
            min(drift.ssim for drift in drifts),
            min(0.0 if each is None else each.confidence for each in registrations),
            ui=ui.PreviewText(report),
        )


def _paired(
    name: str, images: torch.Tensor, other: str, edited: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Photos (N, 3, H, W), edits (N, 3, h, w), and masks (N, 1, H, W) if there are any."""
    samples = {name: from_image(images), other: from_image(edited)}
    if mask is not None:
        size = samples[name].shape[-2:]
        samples["masks"] = from_mask(mask, (size[0], size[1]))
    with without_grad():
        photos, edits, *masks = broadcast_rows(samples)
    return photos, edits, masks[0] if masks else None


def _body(
    densepose: Loaded[Any] | None, segmenter: Loaded[Any] | None, photo: torch.Tensor
) -> BodyRegions | None:
    """The regions of the person in a photo (3, H, W); None without networks.

    Raises:
        FiceError: only one of the networks is connected.
    """
    if densepose is None and segmenter is None:
        return None
    if densepose is None or segmenter is None:
        raise FiceError(
            "the garment is found by a DensePose and a segmenter together: connect both, or neither"
        )
    with on_device(densepose, segmenter):
        return body_regions(densepose.network, segmenter.network, photo)


def _measured(
    photo: torch.Tensor,
    edit: torch.Tensor,
    mask: torch.Tensor | None,
    densepose: Loaded[Any] | None,
    text: TextValue | None,
    number: int,
) -> tuple[Drift, torch.Tensor]:
    """The drift of a pair, by the networks that are connected, and its map."""
    networks: list[Loaded[Any]] = [] if densepose is None else [densepose]
    networks += [] if text is None else [text.clip]
    if not networks:
        return measure_drift(photo, edit, mask)
    with on_device(*networks) as device:
        features = None if text is None else text.features[number % len(text.features)]
        return measure_drift(
            photo,
            edit,
            mask,
            densepose=None if densepose is None else densepose.network,
            clip=None if text is None else text.clip.network,
            text=None if features is None else features[None].to(device),
        )


def _table(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV; what is unknown is left empty."""
    text = text_io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


NODES: list[type[Any]] = [RestoreEdit, DriftReport]
