"""Stage 3: where the photo changes, and the generated garment in the photo."""

from typing import Any

import torch
from comfy_api.latest import io

from ..fice_core import stitching
from ..fice_core.batches import paired
from ..fice_core.framing import Frame
from ..fice_core.initialization import extract_anatomy, no_graph
from ..fice_core.masks import edit_mask
from ..fice_core.settings import EditSettings
from .runtime import from_image, from_mask, on_device, to_image, to_mask
from .sockets import DensePoseSocket, Loaded, SegmenterSocket

_DEFAULT = EditSettings()


def _frame(photos: torch.Tensor, generated: torch.Tensor) -> Frame:
    """How the photos were brought to the size of the generated pictures."""
    return Frame.around(
        (photos.shape[2], photos.shape[3]), (generated.shape[2], generated.shape[3])
    )


class EditMask(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_EditMask",
            display_name="Edit Mask (FICE)",
            category="FICE/stitch",
            description="Finds where the garment is before or after the edit. Everything else, and head and "
            "hands in any case, stays the photo's own.",
            search_aliases=["garment mask", "clothing mask", "inpaint mask", "changed area"],
            inputs=[
                io.Image.Input("original", tooltip="The photos, of any size."),
                io.Image.Input(
                    "initial", tooltip="From the inversion: the pictures before the edit."
                ),
                io.Image.Input("generated", tooltip="From the inversion: the pictures after it."),
                DensePoseSocket.Input("densepose", tooltip="Finds torso and arms."),
                SegmenterSocket.Input("segmenter", tooltip="Finds head and body."),
                io.Float.Input(
                    "dilation",
                    default=_DEFAULT.mask_dilation,
                    min=0.0,
                    max=0.5,
                    step=0.005,
                    tooltip="How far the edit may reach beyond the garment, as a fraction of the height.",
                ),
                io.Float.Input(
                    "feather",
                    default=_DEFAULT.mask_feather,
                    min=0.0,
                    max=0.5,
                    step=0.005,
                    tooltip="Width of the soft border outside that, as a fraction of the height.",
                ),
                io.Float.Input(
                    "change_threshold",
                    default=_DEFAULT.change_threshold,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Difference of colour, 0 to 1, from which an arm counts as changed.",
                ),
            ],
            outputs=[
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="1 where the photo changes, 0 where it must not; the size of the photo.",
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
    ) -> io.NodeOutput:
        settings = EditSettings(
            mask_dilation=dilation, mask_feather=feather, change_threshold=change_threshold
        )
        photos, before, after = (from_image(image) for image in (original, initial, generated))
        frame = _frame(photos, after)
        with on_device(densepose, segmenter) as device:
            framed, before, after = (
                pictures.to(device)
                for pictures in paired(
                    {
                        "originals": frame.fit(photos),
                        "initial pictures": before,
                        "generated pictures": after,
                    }
                )
            )
            old, new = (
                extract_anatomy(densepose.network, segmenter.network, pictures)
                for pictures in (framed, after)
            )
            mask = edit_mask(old, new, framed, before, after, settings)
            return io.NodeOutput(to_mask(frame.restore(mask)))


class Stitch(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_Stitch",
            display_name="Stitch (FICE)",
            category="FICE/stitch",
            description="Puts the generated garment into the photo. Where the mask is 0 the result is the "
            "photo, bit for bit.",
            search_aliases=["composite", "paste back", "blend", "uncrop"],
            inputs=[
                io.Image.Input("original", tooltip="The photos; the result has their size."),
                io.Image.Input(
                    "generated",
                    tooltip="What goes into them, of any resolution: from the inversion, an upscaler, a "
                    "refiner.",
                ),
                io.Mask.Input("mask", tooltip="From Edit Mask, or from any pack; any size."),
                io.Combo.Input(
                    "mode",
                    options=["change inside the mask", "keep inside the mask"],
                    default="change inside the mask",
                    tooltip="The second, with the head's mask, is the paper's soft stitch.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The edited photos."),
                io.Mask.Output(
                    "changed",
                    display_name="changed",
                    tooltip="1 where the result is generated; the size of the photo.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, original: torch.Tensor, generated: torch.Tensor, mask: torch.Tensor, mode: str
    ) -> io.NodeOutput:
        photos, pictures = from_image(original), from_image(generated)
        size = (photos.shape[2], photos.shape[3])
        with no_graph():
            pictures = _frame(photos, pictures).restore(pictures)
            photos, pictures, where = paired(
                {
                    "originals": photos,
                    "generated pictures": pictures,
                    "masks": from_mask(mask, size),
                }
            )
            if mode == "keep inside the mask":
                images, where = stitching.stitch_head(pictures, photos, where), 1 - where
            else:
                images = stitching.stitch(pictures, photos, where)
        return io.NodeOutput(to_image(images), to_mask(where))


NODES: list[type[Any]] = [EditMask, Stitch]
