"""Stage 3: the generated garment, matched to the photo and put into it."""

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
from .base import Node
from .device import on_device
from .inputs import BLENDS
from .sockets import Loaded, PoseSocket, PoseValue, SegmenterSocket
from .tensors import frame_of, from_image, from_mask, to_image, to_mask


class Stitch(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_Stitch",
            display_name="Stitch (FICE)",
            category="FICE/restore",
            description="Puts the generated garment into the photo. Where the mask is 0, the result is "
            "the photo, bit for bit.",
            search_aliases=["composite", "paste back", "blend", "uncrop"],
            inputs=[
                io.Image.Input("original", tooltip="The photos. The result has their size."),
                io.Image.Input(
                    "generated",
                    tooltip="The images to put in, at any resolution: from the inversion, an "
                    "upscaler or a refiner.",
                ),
                io.Mask.Input(
                    "mask",
                    tooltip="1 where the photo changes, from Edit Mask or any other pack; any size.",
                ),
                io.Combo.Input(
                    "mode",
                    options=["change inside the mask", "keep inside the mask"],
                    default="change inside the mask",
                    tooltip="The second, with a mask of the head, is the soft stitch of the paper.",
                ),
                io.Combo.Input(
                    "blend",
                    options=list(BLENDS),
                    default="feathered",
                    optional=True,
                    tooltip="How the border is blended. feathered: by the soft border of the mask. "
                    "pyramid: by a Laplacian pyramid. gradient: in the gradient domain, which takes "
                    "on the photo's light.",
                ),
                io.Boolean.Input(
                    "match_colour",
                    default=False,
                    optional=True,
                    tooltip="Match the generated colours to the light of the photo.",
                ),
                io.Boolean.Input(
                    "match_grain",
                    default=False,
                    optional=True,
                    tooltip="Add the photo's grain to the generated image.",
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
        photos, images = from_image(original), from_image(generated)
        size = (photos.shape[2], photos.shape[3])
        with without_grad():
            images = frame_of(photos, images).restore(images)
            photos, images, where = broadcast_rows(
                {
                    "originals": photos,
                    "generated images": images,
                    "masks": from_mask(mask, size),
                }
            )
            if mode == "keep inside the mask":
                images, where = stitching.stitch_head(images, photos, where), 1 - where
            else:
                images = blend_into_photo(images, photos, where, settings, settings.match_colour)
        return io.NodeOutput(to_image(images), to_mask(where))


class MatchSkin(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_MatchSkin",
            display_name="Match Skin (FICE)",
            category="FICE/restore",
            description="Gives arms that the edit bares the person's own skin tone. Goes between the "
            "inversion and Stitch.",
            search_aliases=["skin tone", "skin colour", "color match", "bare arms"],
            inputs=[
                io.Image.Input(
                    "generated", tooltip="The images after the edit, from Constrained Inversion."
                ),
                io.Image.Input("original", tooltip="The photos, of any size."),
                PoseSocket.Input("pose", tooltip="Pose of the photos, which shows hands and face."),
                SegmenterSocket.Input(
                    "segmenter", tooltip="Finds the arms in the generated image."
                ),
            ],
            outputs=[
                io.Image.Output(
                    "image",
                    display_name="image",
                    tooltip="The generated images, at their own resolution.",
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
        images, photos = from_image(generated), from_image(original)
        frame = frame_of(photos, images)
        with on_device(pose.densepose, segmenter) as device:
            images, photos, before = (
                value.to(device)
                for value in broadcast_rows(
                    {
                        "generated images": images,
                        "originals": frame.fit(photos),
                        "poses": pose.parts,
                    }
                )
            )
            after = extract_pose(pose.densepose.network, images)
            arms = find_body_regions(after, segment_regions(segmenter.network, images)).arms
            images, bare = match_skin(images, photos, arms, after, before)
        return io.NodeOutput(to_image(images), to_mask(bare))


NODES: list[type[Any]] = [Stitch, MatchSkin]
