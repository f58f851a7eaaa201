"""Losses, intermediate images and quality of an edit; and a figure to edit.

Plots and metrics need libraries that take seconds to load, so they are imported when a node runs.
"""

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..fice_core.demo import figure
from ..fice_core.errors import FiceError
from ..fice_core.extraction.extractors import extract_pose
from ..fice_core.framing import Frame
from ..fice_core.ops.autograd import without_grad
from ..fice_core.ops.batching import broadcast_rows, in_batches
from .base import Node
from .device import on_device
from .progress import show
from .sockets import PoseSocket, PoseValue, TextSocket, TextValue, TraceSocket, TraceValue
from .tensors import from_image, from_mask, to_image


class PlotTrace(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_PlotTrace",
            display_name="Plot Trace (FICE)",
            category="FICE/compare",
            description="Plots the losses over the steps.",
            search_aliases=["loss curve", "chart", "graph losses"],
            inputs=[TraceSocket.Input("trace", tooltip="The losses of an inversion or an edit.")],
            outputs=[
                io.Image.Output(
                    "plot",
                    display_name="plot",
                    tooltip="Every loss times its weight over the steps; 900 x 540 pixels.",
                )
            ],
        )

    @classmethod
    def execute(cls, trace: TraceValue) -> io.NodeOutput:
        from ..fice_core.reporting import plots

        return io.NodeOutput(_from_pil(plots.loss_plot(trace.trace)))


class TraceFrames(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_TraceFrames",
            display_name="Trace Frames (FICE)",
            category="FICE/compare",
            description="The intermediate images of the optimisation as a batch, for a video node. Several "
            "edits stand side by side.",
            search_aliases=["video", "animation", "timelapse", "optimization frames"],
            inputs=[
                TraceSocket.Input(
                    "trace", tooltip="From an inversion or an edit whose frames is above 0."
                ),
                io.Int.Input(
                    "hold",
                    default=8,
                    min=0,
                    max=1000,
                    tooltip="How many times the last image is repeated at the end.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "frames", display_name="frames", tooltip="One image per kept step, in order."
                )
            ],
        )

    @classmethod
    def execute(cls, trace: TraceValue, hold: int) -> io.NodeOutput:
        if len(trace.frames) == 0:
            raise FiceError("the trace has no frames: set frames above 0 in the node that makes it")
        with without_grad():
            rows = trace.frames.movedim(1, 2).flatten(2, 3)  # (T, H, N W, 3)
            frames = torch.cat([rows, rows[-1:].expand(hold, -1, -1, -1)]).float() / 255
        return io.NodeOutput(frames)


class CompareEdits(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_CompareEdits",
            display_name="Compare Edits (FICE)",
            category="FICE/compare",
            description="Makes a sheet of photos and edits, each pair under its prompt.",
            search_aliases=["grid", "contact sheet", "before after", "side by side", "collage"],
            inputs=[
                io.Image.Input("original", tooltip="The photos."),
                io.Image.Input("edited", tooltip="The results, one per cell."),
                io.String.Input(
                    "captions",
                    multiline=True,
                    default="",
                    tooltip="One line per edit, as in the edit's prompt. May be empty.",
                ),
                io.Int.Input(
                    "height",
                    default=256,
                    min=64,
                    max=2048,
                    tooltip="Height of every image in pixels.",
                ),
                io.Int.Input(
                    "columns",
                    default=2,
                    min=1,
                    max=16,
                    tooltip="Number of pairs side by side. The sheet is filled row by row.",
                ),
            ],
            outputs=[
                io.Image.Output("sheet", display_name="sheet", tooltip="One image with all pairs.")
            ],
        )

    @classmethod
    def execute(
        cls,
        original: torch.Tensor,
        edited: torch.Tensor,
        captions: str,
        height: int,
        columns: int,
    ) -> io.NodeOutput:
        from ..fice_core.reporting import plots

        photos, edits = broadcast_rows(
            {"originals": from_image(original), "edits": from_image(edited)}
        )
        titles = [line.strip() for line in captions.splitlines() if line.strip()]
        titles += [""] * (len(edits) - len(titles))
        rows = [
            plots.Row(title, [photo, after])
            for title, photo, after in zip(titles, photos, edits, strict=False)
        ]
        sheet = plots.comparison(("original", "edit"), rows, height, min(columns, len(rows)))
        return io.NodeOutput(_from_pil(sheet))


class EditMetrics(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_EditMetrics",
            display_name="Edit Metrics (FICE)",
            category="FICE/compare",
            description="Measures the quality of an edit. If an input is not connected, "
            "its metric is skipped.",
            search_aliases=["evaluate", "quality", "score", "iou", "clip score"],
            is_output_node=True,
            inputs=[
                io.Image.Input("original", tooltip="The photos."),
                io.Image.Input("edited", tooltip="The results, of the same size."),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Where the edit may change the photo; any size."
                ),
                PoseSocket.Input(
                    "pose", optional=True, tooltip="Pose of the photos, from Extract Pose."
                ),
                TextSocket.Input(
                    "text", optional=True, tooltip="The text of the edit, from Encode Text."
                ),
            ],
            outputs=[
                io.String.Output(
                    "report", display_name="report", tooltip="All metrics, one per line."
                ),
                io.Boolean.Output(
                    "untouched",
                    display_name="untouched",
                    tooltip="Whether every pixel outside the mask equals the photo, bit for bit.",
                ),
                io.Float.Output(
                    "pose_iou",
                    display_name="pose IoU",
                    tooltip="Overlap of the body parts before and after the edit, 0 to "
                    "1; NaN without a pose.",
                ),
                io.Float.Output(
                    "similarity",
                    display_name="similarity",
                    tooltip="Cosine similarity of the CLIP features of image and text, -1 to "
                    "1; NaN without a text.",
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
        pose: PoseValue | None = None,
        text: TextValue | None = None,
    ) -> io.NodeOutput:
        from ..fice_core.evaluation import metrics

        photos, edits = broadcast_rows(
            {"originals": from_image(original), "edits": from_image(edited)}
        )
        if photos.shape != edits.shape:
            raise FiceError(
                f"the original is {photos.shape[3]} x {photos.shape[2]} pixels, but the edited image has "
                f"{edits.shape[3]} x {edits.shape[2]}: stitch it into the photo first"
            )
        untouched, iou, similarity = False, float("nan"), float("nan")
        lines = [f"mean difference {float((photos - edits).abs().mean()) * 255:.2f} of 255"]
        if mask is not None:
            where = from_mask(mask, (photos.shape[2], photos.shape[3]))
            photos, edits, where = broadcast_rows(
                {"originals": photos, "edits": edits, "masks": where}
            )
            outside = metrics.mean_difference(edits, photos, (where == 0).float())
            untouched = bool(metrics.unchanged_outside(edits, photos, where).all())
            lines.append(f"difference outside the mask {float(outside.mean()) * 255:.2f} of 255")
            lines.append(f"outside bit-equal {'yes' if untouched else 'no'}")
        if pose is not None:
            iou = _pose_iou(edits, pose)
            lines.append(f"pose IoU {iou:.3f}")
        if text is not None:
            similarity = _similarity(edits, text)
            lines.append(f"similarity to the text {similarity:.3f}")
        report = "\n".join(lines)
        show(cls.hidden.unique_id, report)
        return io.NodeOutput(report, untouched, iou, similarity, ui=ui.PreviewText(report))


class DemoFigure(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_DemoFigure",
            display_name="Demo Figure (FICE)",
            category="FICE/photo",
            description="Draws a figure for the demonstration models to edit, so that a graph runs without "
            "a photo. For photos use Load Image and models that were trained on photos.",
            search_aliases=["example image", "test person", "sample figure"],
            inputs=[
                io.Int.Input(
                    "seed",
                    default=101,
                    min=0,
                    max=2**32 - 1,
                    control_after_generate=False,
                    tooltip="Each seed draws another person. 101 to 106 are those of the README.",
                ),
                io.Int.Input(
                    "size",
                    default=128,
                    min=64,
                    max=1024,
                    step=8,
                    tooltip="Side in pixels. The demonstration models work at 128.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The figure."),
                io.String.Output(
                    "caption", display_name="caption", tooltip="What the figure wears, in words."
                ),
            ],
        )

    @classmethod
    def execute(cls, seed: int, size: int) -> io.NodeOutput:
        with without_grad():
            image, caption = figure(seed, size)
        return io.NodeOutput(to_image(image), caption)


def _from_pil(image: Image.Image) -> torch.Tensor:
    """IMAGE (1, H, W, 3) of a Pillow image."""
    pixels = torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255)
    return to_image(pixels.movedim(-1, 0)[None])


def _pose_iou(edits: torch.Tensor, pose: PoseValue) -> float:
    """Mean overlap of the edits' body parts with the photos' ones."""
    from ..fice_core.evaluation import metrics

    frame = Frame.around((edits.shape[2], edits.shape[3]), pose.frame.resolution)
    with on_device(pose.densepose) as device:
        found = extract_pose(pose.densepose.network, frame.fit(edits).to(device)).cpu()
        found, wanted = broadcast_rows({"edits": found, "poses": pose.parts})
        return float(metrics.part_iou(found, wanted).mean())


def _similarity(edits: torch.Tensor, text: TextValue) -> float:
    """Mean cosine similarity of the edits with their texts for CLIP."""
    with on_device(text.clip) as device:
        found = in_batches(text.clip.network.encode_image, edits.to(device), 8).cpu()
        found, wanted = broadcast_rows({"edits": found, "prompts": text.features})
        return float((found * wanted).sum(dim=1).mean())


NODES: list[type[Any]] = [PlotTrace, TraceFrames, CompareEdits, EditMetrics, DemoFigure]
