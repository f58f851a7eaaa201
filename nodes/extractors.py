"""Stage 1: latent code, pose and regions of the photo, and the features of the text."""

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ..fice_core.errors import FiceError
from ..fice_core.extraction import pose_images, prompts
from ..fice_core.extraction.extractors import (
    encode_latent,
    extract_pose,
    segment_classes,
    synthesize,
)
from ..fice_core.framing import Frame
from ..fice_core.inversion.code_search import search_code
from ..fice_core.latents import generator_id
from ..fice_core.networks.regions import CLASSES, NAMED, regions_of
from ..fice_core.ops.autograd import without_grad
from ..fice_core.settings import ComputeSettings, StartSettings
from .base import Node
from .device import on_device, pixels_at_once
from .progress import Progress, check_cancelled, tell
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


class InitializeLatent(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_InitializeLatent",
            display_name="Initialize Latent (FICE)",
            category="FICE/stages",
            description="Finds the latent code whose image resembles the photo. The edit starts from it.",
            search_aliases=["gan inversion", "e4e", "psp", "encode photo", "stylegan", "w+"],
            inputs=[
                io.Image.Input("image", tooltip=_PHOTO),
                GeneratorSocket.Input("generator", tooltip="The StyleGAN2 generator to edit with."),
                EncoderSocket.Input(
                    "encoder",
                    optional=True,
                    tooltip="The e4e encoder that was trained for this generator. Without one, the code is "
                    "searched by optimisation, which takes longer.",
                ),
                SegmenterSocket.Input(
                    "segmenter",
                    optional=True,
                    tooltip="Without an encoder: its first feature maps compare images in the search. "
                    "Without it, pixels alone are compared.",
                ),
                io.Int.Input(
                    "steps",
                    default=StartSettings().search_steps,
                    min=2,
                    max=5000,
                    optional=True,
                    tooltip="Without an encoder: steps of the search. More come closer to the photo.",
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
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        generator: Loaded[Any],
        encoder: Loaded[Any] | None = None,
        segmenter: Loaded[Any] | None = None,
        steps: int = StartSettings().search_steps,
    ) -> io.NodeOutput:
        _, photos = framed(image, generator)
        others = [each for each in (encoder or segmenter,) if each is not None]
        pixels = 0 if encoder else pixels_at_once(generator, ComputeSettings(), 3 * len(photos))
        with on_device(generator, *others, pixels=pixels) as device:
            if encoder is not None:
                w_plus = encode_latent(generator.network, encoder.network, photos.to(device))
            else:
                found = search_code(
                    generator.network,
                    segmenter.network if segmenter else None,
                    photos.to(device),
                    steps,
                    on_step=Progress(cls.hidden.unique_id, steps),
                    check_cancelled=check_cancelled,
                )
                tell(cls.hidden.unique_id, found.warnings)
                w_plus = found.w_plus
            images = synthesize(generator.network, w_plus, clamp=True)
            latent = LatentValue(w_plus.cpu(), generator_id(generator.network))
        return io.NodeOutput(latent, to_image(images))


class ExtractPose(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_ExtractPose",
            display_name="Extract Pose (FICE)",
            category="FICE/stages",
            description="Finds the body parts of the person with DensePose. The edit keeps them in place.",
            search_aliases=["densepose", "body parts", "part map", "detect pose"],
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


class ReadPose(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_ReadPose",
            display_name="Read Pose Image (FICE)",
            category="FICE/stages",
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


class SegmentRegions(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_SegmentRegions",
            display_name="Segment Regions (FICE)",
            category="FICE/stages",
            description="Segments background, body and head of the person, as soft masks.",
            search_aliases=[
                "head mask",
                "body mask",
                "clothes mask",
                "dress",
                "hair",
                "human parsing",
                "segmentation",
            ],
            inputs=[
                io.Image.Input("image", tooltip=_PHOTO),
                GeneratorSocket.Input("generator", tooltip=_PADDED),
                SegmenterSocket.Input(
                    "segmenter", tooltip="The network that finds background, body and head."
                ),
                io.Combo.Input(
                    "class",
                    options=["body", *(name for name in NAMED if name not in CLASSES)],
                    default="body",
                    optional=True,
                    tooltip="What the output named shows. Beside body, a class that a clothes parser tells "
                    "apart, such as upper, dress or hair.",
                ),
            ],
            outputs=[
                *(
                    io.Mask.Output(
                        name,
                        display_name=name,
                        tooltip=f"Probability of {name}, 0 to 1, at the size of the photo.",
                    )
                    for name in CLASSES
                ),
                io.Mask.Output(
                    "named",
                    display_name="named",
                    tooltip="Probability of the chosen class, 0 to 1, at the size of the photo.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        generator: Loaded[Any],
        segmenter: Loaded[Any],
        **widgets: str,  # "class" is no name in Python
    ) -> io.NodeOutput:
        chosen = widgets.get("class", "body")
        if chosen != "body" and chosen not in segmenter.network.labels:
            known = ", ".join(segmenter.network.labels)
            raise FiceError(
                f"this segmenter does not tell {chosen} apart, only {known}: choose one of these, or load a "
                "segmenter that names clothes"
            )
        frame, photos = framed(image, generator)
        with on_device(segmenter) as device:
            classes = segment_classes(segmenter.network, photos.to(device))
            regions = regions_of(classes)
            shown = regions.body if chosen == "body" else classes[chosen]
            found = [to_mask(frame.restore(region)) for region in (*regions, shown)]
        return io.NodeOutput(*found)


class EncodeText(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_EncodeText",
            display_name="Encode Text (FICE)",
            category="FICE/stages",
            description="Encodes prompts as CLIP features. The edit compares the image with them.",
            search_aliases=[
                "prompt",
                "clip text",
                "clip guided",
                "text to clothes",
                "describe garment",
                "negative prompt",
            ],
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
                    advanced=True,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Weight of the negative prompt. The text itself has weight 1.",
                ),
                io.String.Input(
                    "source",
                    default="",
                    advanced=True,
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
                worn = prompts.encode(clip.network, [source], name=prompts.WORN)
                direction = features - worn.cpu()
        tell(cls.hidden.unique_id, prompts.remarks(clip.network, lines, negative, source))
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
