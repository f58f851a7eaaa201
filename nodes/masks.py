"""Masks: where an edit may change the photo, where it did, and rough masks refined."""

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ..fice_core.bridges.garment_area import Networks, garment_area
from ..fice_core.errors import FiceError
from ..fice_core.extraction.anatomy import find_body_regions
from ..fice_core.extraction.extractors import extract_body_regions
from ..fice_core.masks.garment import allowed_mask, garment_mask
from ..fice_core.masks.guided_filter import refine_mask
from ..fice_core.masks.sam import refine_by_sam
from ..fice_core.networks.regions import Regions
from ..fice_core.ops.autograd import without_grad
from ..fice_core.ops.batching import broadcast_rows
from ..fice_core.settings import MaskSettings
from ..fice_core.stitching.edges import edit_mask_at_photo_scale
from .base import Node
from .device import on_device
from .inputs import GARMENT
from .models import demo
from .progress import tell
from .sockets import (
    DensePoseSocket,
    Loaded,
    ModelsSocket,
    ModelsValue,
    PoseSocket,
    PoseValue,
    SamSocket,
    SegmenterSocket,
)
from .tensors import frame_of, from_image, from_mask, to_mask

_DEFAULT = MaskSettings()
# The attention of the encoder takes as much memory as the optimisation of this many pixels.
_SAM_PIXELS = 512 * 512


class EditArea(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_EditArea",
            display_name="Edit Area (FICE)",
            category="FICE/mask",
            description="Finds the area that the garment may cover: for an upper garment, torso and arms "
            "without head and hands. The inversion keeps the rest of the image as in the photo.",
            search_aliases=[
                "clothing mask",
                "garment mask",
                "dress",
                "outfit",
                "keep mask",
                "inpaint area",
            ],
            inputs=[
                PoseSocket.Input(
                    "pose", tooltip="Pose of the photos, from Extract Pose or Read Pose Image."
                ),
                io.Mask.Input(
                    "body", tooltip="Mask of the body, from Segment Regions or another pack."
                ),
                io.Mask.Input("head", tooltip="Mask of head and hair, which are never edited."),
                io.Float.Input(
                    "margin",
                    default=0.03,
                    min=0.0,
                    max=0.5,
                    step=0.005,
                    tooltip="How far the area extends beyond the body, as a fraction of the image height.",
                ),
                GARMENT,
            ],
            outputs=[
                io.Mask.Output(
                    "area",
                    display_name="area",
                    tooltip="1 where the image may change; the size of the body mask.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        pose: PoseValue,
        body: torch.Tensor,
        head: torch.Tensor,
        margin: float,
        garment: str = "upper",
    ) -> io.NodeOutput:
        frame = pose.frame
        with without_grad():
            inside, above = (frame.fit(from_mask(m, frame.size)) for m in (body, head))
            parts, inside, above = broadcast_rows(
                {"poses": pose.parts, "body masks": inside, "head masks": above}
            )
            regions = Regions((1 - inside - above).clamp(0, 1), inside, above)
            settings = MaskSettings(
                mask_dilation=margin,
                mask_feather=0.0,
                garment=garment,  # type: ignore[arg-type]
            )
            area = allowed_mask(find_body_regions(parts, regions), settings)
            return io.NodeOutput(to_mask(frame.restore(area)))


class EditMask(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_EditMask",
            display_name="Edit Mask (FICE)",
            category="FICE/mask",
            description="Finds where the garment is before or after the edit. Everything else keeps the "
            "photo's pixels; head and hands always do.",
            search_aliases=["garment mask", "clothing mask", "inpaint mask", "changed area"],
            inputs=[
                io.Image.Input("original", tooltip="The photos, of any size."),
                io.Image.Input(
                    "initial", tooltip="The images before the edit, from Constrained Inversion."
                ),
                io.Image.Input(
                    "generated", tooltip="The images after the edit, from Constrained Inversion."
                ),
                DensePoseSocket.Input("densepose", tooltip="Finds torso and arms."),
                SegmenterSocket.Input("segmenter", tooltip="Finds head and body."),
                io.Float.Input(
                    "dilation",
                    default=_DEFAULT.mask_dilation,
                    min=0.0,
                    max=0.5,
                    step=0.005,
                    tooltip="How far the edit may extend beyond the garment, as a fraction "
                    "of the image height.",
                ),
                io.Float.Input(
                    "feather",
                    default=_DEFAULT.mask_feather,
                    min=0.0,
                    max=0.5,
                    step=0.005,
                    tooltip="Width of the soft border around that, as a fraction of the image height.",
                ),
                io.Float.Input(
                    "change_threshold",
                    default=_DEFAULT.change_threshold,
                    advanced=True,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Colour difference, 0 to 1, above which an arm counts as changed.",
                ),
                GARMENT,
                io.Boolean.Input(
                    "sharp",
                    default=False,
                    optional=True,
                    tooltip="Follow the edges of the photo if it is larger than the generated images.",
                ),
            ],
            outputs=[
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="1 where the photo changes, 0 where it stays; the size of the photo.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        original: torch.Tensor,
        initial: torch.Tensor,
        generated: torch.Tensor,
        densepose: Loaded[Any],
        segmenter: Loaded[Any],
        dilation: float,
        feather: float,
        change_threshold: float,
        garment: str = "upper",
        sharp: bool = False,
    ) -> io.NodeOutput:
        settings = MaskSettings(
            mask_dilation=dilation,
            mask_feather=feather,
            change_threshold=change_threshold,
            garment=garment,  # type: ignore[arg-type]
            sharp_mask=sharp,
        )
        photos, before, after = (from_image(image) for image in (original, initial, generated))
        frame = frame_of(photos, after)
        with on_device(densepose, segmenter) as device:
            photos, framed, before, after = (
                images.to(device)
                for images in broadcast_rows(
                    {
                        "originals": photos,
                        "framed originals": frame.fit(photos),
                        "initial images": before,
                        "generated images": after,
                    }
                )
            )
            old, new = (
                extract_body_regions(densepose.network, segmenter.network, images)
                for images in (framed, after)
            )
            worn = garment_mask(old, new, framed, before, after, settings)
            mask = edit_mask_at_photo_scale(frame, photos, frame.unfit(after), worn, old, settings)
            return io.NodeOutput(to_mask(mask))


class RefineMask(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_RefineMask",
            display_name="Refine Mask (FICE)",
            category="FICE/mask",
            description="Aligns a rough mask, drawn by hand or found by a small network, with the edges of "
            "the photo. With Segment Anything the mask may be rougher still.",
            search_aliases=["guided filter", "segment anything", "sharpen mask", "matting"],
            inputs=[
                io.Image.Input("image", tooltip="The photos."),
                io.Mask.Input("mask", tooltip="The rough mask; any size."),
                io.Float.Input(
                    "radius",
                    default=0.03,
                    min=0.001,
                    max=0.5,
                    step=0.005,
                    tooltip="How far the border of the mask may be off, as a fraction of the image height. "
                    "Not used with Segment Anything.",
                ),
                SamSocket.Input(
                    "sam",
                    optional=True,
                    tooltip="Segment Anything, which finds what the mask means.",
                ),
                PoseSocket.Input(
                    "pose",
                    optional=True,
                    tooltip="Tells Segment Anything where an upper garment is, and where head and hands are.",
                ),
            ],
            outputs=[
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="The refined mask, at the size of the photo.",
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        mask: torch.Tensor,
        radius: float,
        sam: Loaded[Any] | None = None,
        pose: PoseValue | None = None,
    ) -> io.NodeOutput:
        photos = from_image(image)
        rough = from_mask(mask, (photos.shape[2], photos.shape[3]))
        if not bool((rough > 0.5).any()):
            raise FiceError("the mask is empty, so there is nothing to refine: draw one")
        with without_grad():
            samples = {"photos": photos, "masks": rough}
            if pose is not None and sam is not None:
                samples["poses"] = _shown(pose, photos)
            photos, rough, *parts = broadcast_rows(samples)
        if sam is None:
            with without_grad():
                return io.NodeOutput(to_mask(refine_mask(photos, rough, radius)))
        with on_device(sam, pixels=_SAM_PIXELS) as device:
            photos, rough, *parts = (value.to(device) for value in (photos, rough, *parts))
            seen = parts[0] if parts else None
            found, agreement = refine_by_sam(sam.network, photos, rough, seen)
        tell(
            cls.hidden.unique_id,
            [
                f"Segment Anything found something else in image {k + 1}: its mask is refined without it"
                for k, share in enumerate(agreement.tolist())
                if share < 0.5
            ],
        )
        return io.NodeOutput(to_mask(found))


def _shown(pose: PoseValue, photos: torch.Tensor) -> torch.Tensor:
    """The part maps of the photos, without the padding of their frame."""
    if pose.frame.size != photos.shape[2:]:
        raise FiceError(
            f"the pose is of an image of {pose.frame.size[1]} x {pose.frame.size[0]} pixels, but the photo "
            f"has {photos.shape[3]} x {photos.shape[2]}: extract the pose from this photo"
        )
    square = replace(pose.frame, resolution=(pose.parts.shape[2], pose.parts.shape[3]))
    return square.trim(pose.parts)


class GarmentMask(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_GarmentMask",
            display_name="Garment Mask (FICE)",
            category="FICE/mask",
            description="Finds the garment of the person in a photo of any size, as a mask for any "
            "inpainter. Head and hands are never in it.",
            search_aliases=[
                "clothes mask",
                "clothing mask",
                "clothes segmentation",
                "dress",
                "outfit",
                "inpaint clothes",
                "inpaint mask",
                "change clothes",
                "human parsing",
            ],
            inputs=[
                io.Image.Input("image", tooltip="Photos of any size and framing."),
                GARMENT,
                io.Boolean.Input(
                    "reach",
                    default=False,
                    optional=True,
                    tooltip="Also where the garment may come to be, such as the arms under a longer sleeve.",
                ),
                io.Float.Input(
                    "grow",
                    default=_DEFAULT.mask_dilation,
                    min=0.0,
                    max=0.5,
                    step=0.005,
                    optional=True,
                    tooltip="How far the mask extends beyond the garment, as a fraction of the image height.",
                ),
                io.Float.Input(
                    "feather",
                    default=_DEFAULT.mask_feather,
                    min=0.0,
                    max=0.5,
                    step=0.005,
                    optional=True,
                    tooltip="Width of the soft border around that, as a fraction of the image height.",
                ),
                ModelsSocket.Input(
                    "models",
                    optional=True,
                    tooltip="All networks at once, from Load Models; leave open to use the demonstration "
                    "models, which know demonstration images only.",
                ),
                SegmenterSocket.Input(
                    "segmenter",
                    optional=True,
                    tooltip="The segmenter; leave open to use that of the models. One that names clothes (a "
                    "SegFormer) knows exactly where they are.",
                ),
            ],
            outputs=[
                io.Mask.Output(
                    "mask", display_name="mask", tooltip="1 on the garment; the size of the photos."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        garment: str = "upper",
        reach: bool = False,
        grow: float = _DEFAULT.mask_dilation,
        feather: float = _DEFAULT.mask_feather,
        models: ModelsValue | None = None,
        segmenter: Loaded[Any] | None = None,
    ) -> io.NodeOutput:
        kinds = ("generator", "densepose", "segmenter")
        given = {kind: demo(kind) for kind in kinds} if models is None else models.networks
        loaded = {kind: given[kind] for kind in kinds}
        if segmenter is not None:
            loaded["segmenter"] = segmenter
        settings = MaskSettings(
            garment=garment,  # type: ignore[arg-type]
            mask_dilation=grow,
            mask_feather=feather,
        )
        with on_device(*loaded.values()):
            networks = {kind: each.network for kind, each in loaded.items()}
            mask = garment_area(Networks(**networks), from_image(image), settings, reach)
        return io.NodeOutput(to_mask(mask))


NODES: list[type[Any]] = [EditArea, EditMask, RefineMask, GarmentMask]
