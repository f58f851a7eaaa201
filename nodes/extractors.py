"""Stage 1: latent code, pose and regions of the photo, and the features of the text."""

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ..fice_core.extraction import pose_images, prompts
from ..fice_core.extraction.extractors import (
    encode_latent,
    extract_pose,
    segment_regions,
    synthesize,
)
from ..fice_core.framing import Frame
from ..fice_core.latents import generator_id
from ..fice_core.ops.autograd import without_grad
from .device import on_device
from .progress import tell
from .sockets import (
    ClipSocket,
    DensePoseSocket,
    EncoderSocket,
    GeneratorSocket,
    LatentSocket,
    LatentValue,
    Loaded,
    PoseSocket,
    PoseValue,
    SegmenterSocket,
    TextSocket,
    TextValue,
)
from .tensors import framed, from_image, to_image, to_mask

_PHOTO = "Photos of any size, one person each. They are padded to the generator's aspect ratio and resized."
_PADDED = "The photo is padded and resized for this generator, as in the edit."


class InitializeLatent(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_InitializeLatent",
            display_name="Initialize Latent (FICE)",
            category="FICE/extract",
            description="Finds the latent code whose image resembles the photo. The edit starts from it.",
            search_aliases=["gan inversion", "e4e", "encode photo", "w+"],
            inputs=[
                io.Image.Input("image", tooltip=_PHOTO),
                GeneratorSocket.Input("generator", tooltip="The StyleGAN2 generator to edit with."),
                EncoderSocket.Input(
                    "encoder", tooltip="The e4e encoder that was trained for this generator."
                ),
            ],
            outputs=[
                LatentSocket.Output(
                    "latent", display_name="latent", tooltip="One W+ code per photo."
                ),
                io.Image.Output(
                    "reconstruction",
                    display_name="reconstruction",
                    tooltip="The images of the codes, at the generator's resolution.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, image: torch.Tensor, generator: Loaded[Any], encoder: Loaded[Any]
    ) -> io.NodeOutput:
        _, photos = framed(image, generator)
        with on_device(generator, encoder) as device:
            w_plus = encode_latent(generator.network, encoder.network, photos.to(device))
            images = synthesize(generator.network, w_plus, clamp=True)
            latent = LatentValue(w_plus.cpu(), generator_id(generator.network))
        return io.NodeOutput(latent, to_image(images))


class ExtractPose(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_ExtractPose",
            display_name="Extract Pose (FICE)",
            category="FICE/extract",
            description="Finds the body parts of the person with DensePose. The edit keeps them in place.",
            search_aliases=["densepose", "body parts", "part map"],
            inputs=[
                io.Image.Input("image", tooltip=_PHOTO),
                GeneratorSocket.Input("generator", tooltip=_PADDED),
                DensePoseSocket.Input(
                    "densepose",
                    tooltip="The network that finds the parts. It also evaluates the edited image.",
                ),
            ],
            outputs=[
                PoseSocket.Output(
                    "pose",
                    display_name="pose",
                    tooltip="Part map of each photo, which the edit keeps.",
                ),
                io.Image.Output(
                    "picture",
                    display_name="picture",
                    tooltip="The parts in colours, at the size of the photo.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, image: torch.Tensor, generator: Loaded[Any], densepose: Loaded[Any]
    ) -> io.NodeOutput:
        frame, photos = framed(image, generator)
        with on_device(densepose) as device:
            parts = extract_pose(densepose.network, photos.to(device)).cpu()
        return io.NodeOutput(PoseValue(parts, frame, densepose), to_image(_drawn(parts, frame)))


class ReadPose(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_ReadPose",
            display_name="Read Pose Image (FICE)",
            category="FICE/extract",
            description="Reads a DensePose image made by another pack. Takes the place of Extract Pose.",
            search_aliases=[
                "densepose image",
                "controlnet aux densepose",
                "pose from image",
                "read pose picture",
            ],
            inputs=[
                io.Image.Input(
                    "picture",
                    tooltip="DensePose part labels in colours, with the aspect ratio of the photo.",
                ),
                GeneratorSocket.Input("generator", tooltip=_PADDED),
                DensePoseSocket.Input(
                    "densepose", tooltip="The network that finds the parts of the edited image."
                ),
                io.Combo.Input(
                    "palette",
                    options=["viridis", "grey"],
                    default="viridis",
                    tooltip="viridis: the colours of DensePose's own visualiser. grey: the number of the "
                    "part, 1 to 24, as it is or spread over the grey levels.",
                ),
            ],
            outputs=[
                PoseSocket.Output(
                    "pose", display_name="pose", tooltip="Part map, which the edit keeps."
                )
            ],
        )

    @classmethod
    def execute(
        cls, picture: torch.Tensor, generator: Loaded[Any], densepose: Loaded[Any], palette: str
    ) -> io.NodeOutput:
        images = from_image(picture)
        frame = Frame.around((images.shape[2], images.shape[3]), generator.network.resolution)
        with without_grad():
            labels = pose_images.read_labels(images, palette)  # type: ignore[arg-type]
            parts = pose_images.parts_of_labels(labels, frame, densepose.network.part_size)
        return io.NodeOutput(PoseValue(parts, frame, densepose))


class SegmentRegions(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_SegmentRegions",
            display_name="Segment Regions (FICE)",
            category="FICE/extract",
            description="Segments background, body and head of the person, as soft masks.",
            search_aliases=["head mask", "body mask", "human parsing", "segmentation"],
            inputs=[
                io.Image.Input("image", tooltip=_PHOTO),
                GeneratorSocket.Input("generator", tooltip=_PADDED),
                SegmenterSocket.Input("segmenter", tooltip="The network that segments them."),
            ],
            outputs=[
                io.Mask.Output(
                    name,
                    display_name=name,
                    tooltip=f"Probability of {name}, 0 to 1, at the size of the photo.",
                )
                for name in ("background", "body", "head")
            ],
        )

    @classmethod
    def execute(
        cls, image: torch.Tensor, generator: Loaded[Any], segmenter: Loaded[Any]
    ) -> io.NodeOutput:
        frame, photos = framed(image, generator)
        with on_device(segmenter) as device:
            regions = segment_regions(segmenter.network, photos.to(device))
            found = [to_mask(frame.restore(region)) for region in regions]
        return io.NodeOutput(*found)


class EncodeText(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_EncodeText",
            display_name="Encode Text (FICE)",
            category="FICE/extract",
            description="Encodes prompts as CLIP features. The edit compares the image with them.",
            search_aliases=["prompt", "clip text", "describe garment", "negative prompt"],
            inputs=[
                ClipSocket.Input(
                    "clip", tooltip="The CLIP network. It also evaluates the edited image."
                ),
                io.String.Input(
                    "text",
                    multiline=True,
                    dynamic_prompts=True,
                    default="a red striped long sleeve shirt",
                    tooltip="One line per edit: one line for all photos, one line per photo, or several "
                    "lines for a single photo. Within a line, | blends prompts and (text:1.5) sets a weight.",
                ),
                io.String.Input(
                    "negative",
                    default="",
                    tooltip="What to move away from, in the same notation. May be empty.",
                ),
                io.Float.Input(
                    "negative_weight",
                    default=0.5,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Weight of the negative prompt. The text itself has weight 1.",
                ),
                io.String.Input(
                    "source",
                    default="",
                    optional=True,
                    tooltip="What the person wears now, for the loss term clip_direction. If it is empty, "
                    "the term is skipped.",
                ),
            ],
            outputs=[
                TextSocket.Output(
                    "text",
                    display_name="text",
                    tooltip="CLIP features, one row per line of the text.",
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        clip: Loaded[Any],
        text: str,
        negative: str,
        negative_weight: float,
        source: str = "",
    ) -> io.NodeOutput:
        lines, direction = prompts.lines_of(text), None
        with on_device(clip):
            features = prompts.encode(clip.network, lines, negative, negative_weight).cpu()
            if source.strip():
                direction = features - prompts.encode(clip.network, [source]).cpu()
        said = [*lines, *(other for other in (negative, source) if other.strip())]
        tell(cls.hidden.unique_id, prompts.remarks(clip.network, said))
        return io.NodeOutput(TextValue(features, clip, direction))


def _drawn(parts: torch.Tensor, frame: Frame) -> torch.Tensor:
    """Part maps in colours, at the size of the photo."""
    square = replace(frame, resolution=(parts.shape[2], parts.shape[3]))
    with without_grad():
        return square.restore(pose_images.draw_parts(parts))


NODES: list[type[Any]] = [
    InitializeLatent,
    ExtractPose,
    ReadPose,
    SegmentRegions,
    EncodeText,
]
