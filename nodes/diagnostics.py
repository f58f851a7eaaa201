"""To look at what happened: the losses, pictures on the way, how good the edit is; and a figure to try on."""

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..fice_core.demo import figure
from ..fice_core.errors import FiceError
from ..fice_core.evaluation import metrics
from ..fice_core.extraction.extractors import extract_pose
from ..fice_core.framing import Frame
from ..fice_core.ops.autograd import without_grad
from ..fice_core.ops.batching import broadcast_rows, in_batches
from ..fice_core.reporting import plots
from .device import on_device
from .progress import show
from .sockets import PoseSocket, PoseValue, TextSocket, TextValue, TraceSocket, TraceValue
from .tensors import from_image, from_mask, to_image


class PlotTrace(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_PlotTrace",
            display_name="Plot Trace (FICE)",
            category="FICE/look",
            description="Draws how the losses fell.",
            search_aliases=["loss curve", "chart", "graph losses"],
            inputs=[TraceSocket.Input("trace", tooltip="From an inversion or an edit.")],
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
        return io.NodeOutput(_from_pil(plots.loss_plot(trace.trace)))


class TraceFrames(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_TraceFrames",
            display_name="Trace Frames (FICE)",
            category="FICE/look",
            description="The pictures on the way, as a batch for a video node; several edits side by side.",
            search_aliases=["video", "animation", "timelapse", "optimization frames"],
            inputs=[
                TraceSocket.Input(
                    "trace", tooltip="From an inversion or an edit that keeps frames."
                ),
                io.Int.Input(
                    "hold",
                    default=8,
                    min=0,
                    max=1000,
                    tooltip="How many times the last picture is repeated at the end.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "frames", display_name="frames", tooltip="One picture a kept step, in order."
                )
            ],
        )

    @classmethod
    def execute(cls, trace: TraceValue, hold: int) -> io.NodeOutput:
        if len(trace.frames) == 0:
            raise FiceError("the trace keeps no pictures: set frames above 0 where it is made")
        with without_grad():
            rows = trace.frames.movedim(1, 2).flatten(2, 3)  # (T, H, N W, 3)
            frames = torch.cat([rows, rows[-1:].expand(hold, -1, -1, -1)]).float() / 255
        return io.NodeOutput(frames)


class CompareEdits(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_CompareEdits",
            display_name="Compare Edits (FICE)",
            category="FICE/look",
            description="A sheet of photos and edits, each pair under its prompt.",
            search_aliases=["grid", "contact sheet", "before after", "collage"],
            inputs=[
                io.Image.Input("original", tooltip="The photos."),
                io.Image.Input("edited", tooltip="The results; one a cell."),
                io.String.Input(
                    "captions",
                    multiline=True,
                    default="",
                    tooltip="A line for every edit, as given to the edit; may be empty.",
                ),
                io.Int.Input(
                    "height", default=256, min=64, max=2048, tooltip="Of every picture, in pixels."
                ),
                io.Int.Input(
                    "columns",
                    default=2,
                    min=1,
                    max=16,
                    tooltip="How many pairs stand side by side.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "sheet", display_name="sheet", tooltip="One picture of all of them."
                )
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
        photos, pictures = broadcast_rows(
            {"originals": from_image(original), "edits": from_image(edited)}
        )
        titles = [line.strip() for line in captions.splitlines() if line.strip()]
        titles += [""] * (len(pictures) - len(titles))
        rows = [
            plots.Row(title, [photo, picture])
            for title, photo, picture in zip(titles, photos, pictures, strict=False)
        ]
        sheet = plots.comparison(("original", "edit"), rows, height, min(columns, len(rows)))
        return io.NodeOutput(_from_pil(sheet))


class EditMetrics(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_EditMetrics",
            display_name="Edit Metrics (FICE)",
            category="FICE/look",
            description="How good an edit is, in numbers. An input that is left open leaves its number out.",
            search_aliases=["evaluate", "quality", "score", "iou"],
            is_output_node=True,
            inputs=[
                io.Image.Input("original", tooltip="The photos."),
                io.Image.Input("edited", tooltip="The results, of the same size."),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Where the edit may change the photo; any size."
                ),
                PoseSocket.Input(
                    "pose", optional=True, tooltip="The photos' pose, from Extract Pose."
                ),
                TextSocket.Input("text", optional=True, tooltip="What was asked for."),
            ],
            outputs=[
                io.String.Output(
                    "report", display_name="report", tooltip="All numbers, a line each."
                ),
                io.Boolean.Output(
                    "untouched",
                    display_name="untouched",
                    tooltip="Whether every pixel outside the mask equals the photo bit for bit.",
                ),
                io.Float.Output(
                    "pose_iou",
                    display_name="pose IoU",
                    tooltip="Overlap of the body parts before and after, 0 to 1; NaN without a pose.",
                ),
                io.Float.Output(
                    "similarity",
                    display_name="similarity",
                    tooltip="Cosine of CLIP's features of picture and text, -1 to 1; NaN without a text.",
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
        photos, pictures = broadcast_rows(
            {"originals": from_image(original), "edits": from_image(edited)}
        )
        if photos.shape != pictures.shape:
            raise FiceError(
                f"the original is {photos.shape[3]} x {photos.shape[2]} pixels and the edited picture "
                f"{pictures.shape[3]} x {pictures.shape[2]}: stitch it into the photo first"
            )
        untouched, iou, similarity = False, float("nan"), float("nan")
        lines = [f"mean difference {float((photos - pictures).abs().mean()) * 255:.2f} of 255"]
        if mask is not None:
            where = from_mask(mask, (photos.shape[2], photos.shape[3]))
            photos, pictures, where = broadcast_rows(
                {"edits": photos, "": pictures, "masks": where}
            )
            outside = metrics.mean_difference(pictures, photos, (where == 0).float())
            untouched = bool(metrics.unchanged_outside(pictures, photos, where).all())
            lines.append(f"difference outside the mask {float(outside.mean()) * 255:.2f} of 255")
            lines.append(f"outside bit-equal {'yes' if untouched else 'no'}")
        if pose is not None:
            iou = _pose_iou(pictures, pose)
            lines.append(f"pose IoU {iou:.3f}")
        if text is not None:
            similarity = _similarity(pictures, text)
            lines.append(f"similarity to the text {similarity:.3f}")
        report = "\n".join(lines)
        show(cls.hidden.unique_id, report)
        return io.NodeOutput(report, untouched, iou, similarity, ui=ui.PreviewText(report))


class DemoFigure(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_DemoFigure",
            display_name="Demo Figure (FICE)",
            category="FICE/look",
            description="Draws a figure for the demonstration models to edit, so that a graph runs without "
            "any photo. For photos use Load Image and models trained on photos.",
            search_aliases=["example image", "test person", "sample figure"],
            inputs=[
                io.Int.Input(
                    "seed",
                    default=101,
                    min=0,
                    max=2**32 - 1,
                    control_after_generate=False,
                    tooltip="Another number draws another person. 101 to 106 are those of the README.",
                ),
                io.Int.Input(
                    "size",
                    default=128,
                    min=64,
                    max=1024,
                    step=8,
                    tooltip="Side in pixels; the demonstration models work at 128.",
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


def _from_pil(picture: Image.Image) -> torch.Tensor:
    """An IMAGE of one picture."""
    pixels = torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255)
    return to_image(pixels.movedim(-1, 0)[None])


def _pose_iou(pictures: torch.Tensor, pose: PoseValue) -> float:
    frame = Frame.around((pictures.shape[2], pictures.shape[3]), pose.frame.resolution)
    with on_device(pose.densepose) as device:
        found = extract_pose(pose.densepose.network, frame.fit(pictures).to(device)).cpu()
        found, wanted = broadcast_rows({"edits": found, "poses": pose.parts})
        return float(metrics.part_iou(found, wanted).mean())


def _similarity(pictures: torch.Tensor, text: TextValue) -> float:
    with on_device(text.clip) as device:
        found = in_batches(text.clip.network.encode_image, pictures.to(device), 8).cpu()
        found, wanted = broadcast_rows({"edits": found, "prompts": text.features})
        return float((found * wanted).sum(dim=1).mean())


NODES: list[type[Any]] = [PlotTrace, TraceFrames, CompareEdits, EditMetrics, DemoFigure]
