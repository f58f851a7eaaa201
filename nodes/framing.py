"""Photos of any framing: crop the person for the edit, and put the edited person back."""

import re
from typing import Any

import torch
from comfy_api.latest import io

from ..fice_core.errors import FiceError
from ..fice_core.ops.autograd import without_grad
from ..fice_core.ops.batching import broadcast_rows
from ..fice_core.ops.resize import enlarge, resize
from ..fice_core.persons.selection import choose_frame, frame_person
from .base import Node
from .device import on_device
from .inputs import FRAMINGS
from .sockets import FrameSocket, FrameValue, GeneratorSocket, Loaded, SegmenterSocket
from .tensors import from_image, from_mask, to_image, to_mask


class FramePerson(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_FramePerson",
            display_name="Frame Person (FICE)",
            category="FICE/photo",
            description="Finds the person in a photo of any size and framing, and crops what the generator "
            "sees. Unframe Person puts the edit back.",
            search_aliases=[
                "crop person",
                "detect person",
                "inpaint crop",
                "crop and stitch",
                "zoom",
                "bounding box",
            ],
            inputs=[
                io.Image.Input("image", tooltip="Photos of any size and framing."),
                GeneratorSocket.Input(
                    "generator", tooltip="Its images show how a person fills the frame."
                ),
                SegmenterSocket.Input("segmenter", tooltip="Finds head and body in the photo."),
                io.Combo.Input(
                    "framing",
                    options=FRAMINGS,
                    default="auto",
                    tooltip="auto: the whole photo if the person fills it, else the person. person: always "
                    "the person. whole: always the whole photo. Not used with a mask or a box.",
                ),
                io.Int.Input(
                    "person",
                    default=0,
                    min=0,
                    max=99,
                    tooltip="Which of several people; 0 is the largest.",
                ),
                io.String.Input(
                    "box",
                    default="",
                    tooltip="What the generator sees, in pixels of the photo: left, top, right, "
                    "bottom. It is cut off at the edges of the photo and extended to the generator's aspect "
                    "ratio. If it is empty, the "
                    "person is searched for.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Covers the person to frame, or a part of them; any size.",
                ),
                io.Combo.Input(
                    "multiple_of",
                    options=["1", "8", "16", "32", "64"],
                    default="1",
                    advanced=True,
                    optional=True,
                    tooltip="The sides of the image are multiples of this many pixels: the frame grows "
                    "around the person. Diffusion editors move an image with other sides.",
                ),
                io.Float.Input(
                    "megapixels",
                    default=0.0,
                    advanced=True,
                    min=0.0,
                    max=16.0,
                    step=0.05,
                    optional=True,
                    tooltip="The least size of the image, for editors that need about 1. It is enlarged by "
                    "a whole factor, so Unframe Person gives every pixel its place again.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "image",
                    display_name="image",
                    tooltip="The person at the photo's own scale, or enlarged to megapixels. Of several "
                    "photos, all are resized to the largest.",
                ),
                FrameSocket.Output(
                    "frame",
                    display_name="frame",
                    tooltip="Position of the crop, for Unframe Person.",
                ),
                io.Mask.Output(
                    "place",
                    display_name="place",
                    tooltip="1 inside the crop; the size of the photo.",
                ),
                io.Int.Output(
                    "width", display_name="width", tooltip="Width of the image in pixels."
                ),
                io.Int.Output(
                    "height", display_name="height", tooltip="Height of the image in pixels."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        generator: Loaded[Any],
        segmenter: Loaded[Any],
        framing: str,
        person: int,
        box: str,
        mask: torch.Tensor | None = None,
        multiple_of: str = "1",
        megapixels: float = 0.0,
    ) -> io.NodeOutput:
        photos, corners = from_image(image), _box_of(box)
        samples = {"photos": photos}
        if mask is not None:
            samples["masks"] = from_mask(mask, (photos.shape[2], photos.shape[3]))
        photos, *marks = broadcast_rows(samples)
        masks = marks[0].split(1) if marks else [None] * len(photos)
        networks = (generator.network, segmenter.network)
        with on_device(generator, segmenter):
            frames = [
                choose_frame(*networks, photo, framing, person)  # type: ignore[arg-type]
                if mark is None and corners is None
                else frame_person(*networks, photo, person, mark, corners)
                for photo, mark in zip(photos.split(1), masks, strict=True)
            ]
            if multiple_of != "1":
                frames = [frame.aligned(int(multiple_of)) for frame in frames]
            crops = _of_one_size([f.crop(p) for f, p in zip(frames, photos.split(1), strict=True)])
            place = torch.cat([f.restore(torch.ones(1, 1, *f.resolution)) for f in frames])
            crops = enlarge(crops, max(frame.enlargement(megapixels) for frame in frames))
        height, width = crops.shape[2:]
        return io.NodeOutput(
            to_image(crops), FrameValue(tuple(frames)), to_mask(place), width, height
        )


class UnframePerson(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_UnframePerson",
            display_name="Unframe Person (FICE)",
            category="FICE/photo",
            description="Puts the edited person back into the photo. Outside the frame, and where the mask "
            "is 0, the result is the photo, bit for bit.",
            search_aliases=[
                "uncrop",
                "paste back",
                "stitch crop",
                "crop and stitch",
                "inpaint stitch",
            ],
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="The edited person as Frame Person cropped it, at any size, so an upscaler or a "
                    "refiner may come between.",
                ),
                io.Image.Input("original", tooltip="The photos that were framed."),
                FrameSocket.Input("frame", tooltip="Position of the crop, from Frame Person."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="1 where the photo changes, as Stitch gives it; any size. If it is not "
                    "connected, the whole frame changes.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "image", display_name="image", tooltip="The edited photos, at their own size."
                ),
                io.Mask.Output(
                    "changed",
                    display_name="changed",
                    tooltip="1 where the result comes from the edit; the size of the photo.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        original: torch.Tensor,
        frame: FrameValue,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        images, photos, frames = from_image(image), from_image(original), frame.frames
        if photos.shape[2:] != frames[0].size:
            raise FiceError(
                f"the original is {photos.shape[3]} x {photos.shape[2]} pixels, but the frame is of a photo "
                f"of {frames[0].size[1]} x {frames[0].size[0]}: connect the photo that was framed"
            )
        with without_grad():
            whole = torch.ones(1, 1, *frames[0].resolution)
            where = whole if mask is None else from_mask(mask)
            images, photos, where, order = broadcast_rows(
                {
                    "edited images": images,
                    "originals": photos,
                    "masks": where,
                    "frames": torch.arange(len(frames)),
                }
            )
            edits = zip(images.split(1), photos.split(1), where.split(1), order, strict=True)
            pasted = [
                (frames[k].paste(edited, photo, within), frames[k].restore(within))
                for edited, photo, within, k in edits
            ]
        results, changed = (torch.cat(row) for row in zip(*pasted, strict=True))
        return io.NodeOutput(to_image(results), to_mask(changed))


def _box_of(text: str) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom; None for an empty text.

    Raises:
        FiceError: not four whole numbers.
    """
    if not text.strip():
        return None
    numbers = re.split(r"[\s,;]+", text.strip().strip("()[]"))
    try:
        left, top, right, bottom = (int(number) for number in numbers)
    except ValueError:
        raise FiceError(
            f"the box is {text!r}, but must be four whole numbers: left, top, right, bottom"
        ) from None
    return left, top, right, bottom


def _of_one_size(crops: list[torch.Tensor]) -> torch.Tensor:
    """Images of different sizes as one batch, all at the size of the tallest."""
    tallest = max(crops, key=lambda crop: crop.shape[2])
    size = (tallest.shape[2], tallest.shape[3])
    return torch.cat([c if c.shape[2:] == size else resize(c, size) for c in crops])


NODES: list[type[Any]] = [FramePerson, UnframePerson]
