"""Optional steps before the edit: fit the code, then a copy of the generator, to the photo."""

from typing import Any

import torch
from comfy_api.latest import io

from ..fice_core.errors import FiceError
from ..fice_core.inversion.pivotal_tuning import tune_generator
from ..fice_core.inversion.refinement import refine_latent
from ..fice_core.ops.batching import broadcast_rows
from ..fice_core.settings import InversionSettings
from .base import Node
from .device import manage, on_device, pixels_at_once
from .inputs import frames_input
from .progress import recorder_of, tell
from .sockets import (
    GeneratorSocket,
    LatentSocket,
    LatentValue,
    Loaded,
    SegmenterSocket,
    TraceSocket,
)
from .tensors import framed, require_same_generator, to_image

# Copies of the weights while the generator is tuned: weights, gradient, two moments of Adam, the best.
_COPIES = 5
_IMAGES_ON_GRAPH = 2  # that of the photo, and that of another code


class RefineLatent(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_RefineLatent",
            display_name="Refine Latent (FICE)",
            category="FICE/stages",
            description="Fits the latent code to the photo, so that its image comes closer and stays "
            "editable. Goes between Initialize Latent and the inversion.",
            search_aliases=["gan inversion", "optimize latent", "reconstruction", "projector"],
            inputs=[
                GeneratorSocket.Input(
                    "generator", tooltip="The generator that the latent belongs to."
                ),
                SegmenterSocket.Input(
                    "segmenter",
                    tooltip="Its first feature maps compare the generated image with the photo.",
                ),
                LatentSocket.Input(
                    "latent", tooltip="The code to start from, from Initialize Latent."
                ),
                io.Image.Input("image", tooltip="The photos that the latent was made from."),
                io.Int.Input(
                    "steps",
                    default=100,
                    min=1,
                    max=5000,
                    tooltip="More steps come closer to the photo and are slower.",
                ),
                frames_input(),
            ],
            outputs=[
                LatentSocket.Output("latent", display_name="latent", tooltip="The refined codes."),
                io.Image.Output(
                    "reconstruction",
                    display_name="reconstruction",
                    tooltip="The images of the refined codes, at the generator's resolution.",
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
        segmenter: Loaded[Any],
        latent: LatentValue,
        image: torch.Tensor,
        steps: int,
        frames: int,
    ) -> io.NodeOutput:
        require_same_generator(latent, generator)
        photos, codes = broadcast_rows(
            {"photos": framed(image, generator)[1], "latent codes": latent.w_plus}
        )
        recorder = recorder_of(cls.hidden, steps, frames, phase="refine")
        pixels = pixels_at_once(generator, InversionSettings(), len(photos))
        with on_device(generator, segmenter, pixels=pixels) as device:
            result = refine_latent(
                generator.network,
                segmenter.network,
                photos.to(device),
                codes.to(device),
                steps,
                on_step=recorder,
            )
        tell(cls.hidden.unique_id, result.warnings)
        return io.NodeOutput(
            LatentValue(result.w_plus.cpu(), latent.generator),
            to_image(result.images),
            recorder.trace_of(result.trace),
        )


class TuneGenerator(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_TuneGenerator",
            display_name="Tune Generator (FICE)",
            category="FICE/stages",
            description="Fits a copy of the generator to one photo, so that the latent gives this person. "
            "Use the copy for everything that follows. The original generator does not change.",
            search_aliases=["pivotal tuning", "pti", "finetune", "fine-tune generator"],
            inputs=[
                GeneratorSocket.Input("generator", tooltip="The generator to copy."),
                SegmenterSocket.Input(
                    "segmenter",
                    tooltip="Its first feature maps compare the generated image with the photo.",
                ),
                LatentSocket.Input("latent", tooltip="The code whose image must become the photo."),
                io.Image.Input(
                    "image", tooltip="The photo that the latent was made from; only one."
                ),
                io.Int.Input(
                    "steps",
                    default=100,
                    min=1,
                    max=5000,
                    tooltip="More steps come closer to the photo, are slower, and leave "
                    "less room for the edit.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**64 - 1,
                    control_after_generate=False,
                    tooltip="Seed of the other codes, whose images are kept as they were.",
                ),
                frames_input(),
            ],
            outputs=[
                GeneratorSocket.Output(
                    "generator", display_name="generator", tooltip="The tuned copy."
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
        segmenter: Loaded[Any],
        latent: LatentValue,
        image: torch.Tensor,
        steps: int,
        seed: int,
        frames: int,
    ) -> io.NodeOutput:
        require_same_generator(latent, generator)
        photo = framed(image, generator)[1]
        if len(photo) != 1 or len(latent.w_plus) != 1:
            raise FiceError(
                f"a generator is tuned to one photo, not to {len(photo)} photos and {len(latent.w_plus)} "
                "codes: connect one of each"
            )
        recorder = recorder_of(cls.hidden, steps, frames, phase="tune")
        memory = {
            "pixels": pixels_at_once(generator, InversionSettings(), _IMAGES_ON_GRAPH),
            "more": _COPIES * generator.patcher.model_size(),
        }
        with on_device(generator, segmenter, **memory) as device:
            tuned = tune_generator(
                generator.network,
                segmenter.network,
                photo.to(device),
                latent.w_plus.to(device),
                steps,
                seed=seed,
                on_step=recorder,
            )
        tell(cls.hidden.unique_id, tuned.warnings)
        return io.NodeOutput(manage(lambda: tuned.generator), recorder.trace_of(tuned.trace))


NODES: list[type[Any]] = [RefineLatent, TuneGenerator]
