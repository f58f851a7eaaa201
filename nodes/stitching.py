"""Stage 3: the generated garment in the photo."""

from typing import Any

import torch
from comfy_api.latest import io

from ..fice_core import stitching
from ..fice_core.extraction.anatomy import find_body_regions
from ..fice_core.extraction.extractors import extract_pose, segment_regions
from ..fice_core.ops.autograd import without_grad
from ..fice_core.ops.batching import broadcast_rows
from ..fice_core.settings import StitchSettings
from ..fice_core.stitching.composite import blend_into_photo
from ..fice_core.stitching.skin import match_skin
from .device import on_device
from .inputs import BLENDS
from .sockets import Loaded, PoseSocket, PoseValue, SegmenterSocket
from .tensors import frame_of, from_image, from_mask, to_image, to_mask


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
                io.Combo.Input(
                    "blend",
                    options=list(BLENDS),
                    default="feathered",
                    optional=True,
                    tooltip="How the border is crossed: by the mask's softness, by a Laplacian pyramid, or "
                    "in the gradient domain, which takes on the photo's light.",
                ),
                io.Boolean.Input(
                    "match_colour",
                    default=False,
                    optional=True,
                    tooltip="Bring the generated colours to the photo's light.",
                ),
                io.Boolean.Input(
                    "match_grain",
                    default=False,
                    optional=True,
                    tooltip="Give the generated picture the photo's grain.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**64 - 1,
                    optional=True,
                    control_after_generate=False,
                    tooltip="Of the grain.",
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
        cls,
        original: torch.Tensor,
        generated: torch.Tensor,
        mask: torch.Tensor,
        mode: str,
        blend: str = "feathered",
        match_colour: bool = False,
        match_grain: bool = False,
        seed: int = 0,
    ) -> io.NodeOutput:
        settings = StitchSettings(
            stitch=BLENDS[blend], match_colour=match_colour, match_grain=match_grain, seed=seed
        )
        photos, pictures = from_image(original), from_image(generated)
        size = (photos.shape[2], photos.shape[3])
        with without_grad():
            pictures = frame_of(photos, pictures).restore(pictures)
            photos, pictures, where = broadcast_rows(
                {
                    "originals": photos,
                    "generated pictures": pictures,
                    "masks": from_mask(mask, size),
                }
            )
            if mode == "keep inside the mask":
                images, where = stitching.stitch_head(pictures, photos, where), 1 - where
            else:
                images = blend_into_photo(pictures, photos, where, settings, settings.match_colour)
        return io.NodeOutput(to_image(images), to_mask(where))


class MatchSkin(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_MatchSkin",
            display_name="Match Skin (FICE)",
            category="FICE/stitch",
            description="Gives arms that the edit has bared the person's own skin tone. Goes between the "
            "inversion and Stitch.",
            search_aliases=["skin tone", "skin colour", "color match", "bare arms"],
            inputs=[
                io.Image.Input("generated", tooltip="From the inversion: the pictures after it."),
                io.Image.Input("original", tooltip="The photos, of any size."),
                PoseSocket.Input("pose", tooltip="The photos' pose: where hands and face are."),
                SegmenterSocket.Input("segmenter", tooltip="Finds the arms in the new picture."),
            ],
            outputs=[
                io.Image.Output(
                    "image",
                    display_name="image",
                    tooltip="The generated pictures, at their own resolution.",
                ),
                io.Mask.Output("bare", display_name="bare", tooltip="1 on newly bare skin."),
            ],
        )

    @classmethod
    def execute(
        cls,
        generated: torch.Tensor,
        original: torch.Tensor,
        pose: PoseValue,
        segmenter: Loaded[Any],
    ) -> io.NodeOutput:
        pictures, photos = from_image(generated), from_image(original)
        frame = frame_of(photos, pictures)
        with on_device(pose.densepose, segmenter) as device:
            pictures, photos, before = (
                value.to(device)
                for value in broadcast_rows(
                    {
                        "generated pictures": pictures,
                        "originals": frame.fit(photos),
                        "poses": pose.parts,
                    }
                )
            )
            after = extract_pose(pose.densepose.network, pictures)
            arms = find_body_regions(after, segment_regions(segmenter.network, pictures)).arms
            images, bare = match_skin(pictures, photos, arms, after, before)
        return io.NodeOutput(to_image(images), to_mask(bare))


NODES: list[type[Any]] = [Stitch, MatchSkin]
