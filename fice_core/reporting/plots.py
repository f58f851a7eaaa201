"""Plots of edits: a comparison of the stages, and the losses over the steps."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from ..files import write_bytes
from ..images.photo import to_bytes
from ..inversion.trace import Trace

_FONT = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
_PAPER, _INK, _FAINT = (255, 255, 255), (34, 34, 40), (120, 120, 130)


@dataclass(frozen=True)
class Row:
    """One row of a comparison: a title and its images, each (3, H, W) in [0, 1]."""

    title: str
    images: Sequence[torch.Tensor]


def comparison(
    columns: Sequence[str], rows: Sequence[Row], height: int = 256, blocks: int = 1
) -> Image.Image:
    """A sheet of rows of images, each below its title.

    Args:
        columns: names of the images of a row, from left to right.
        rows: at least one, with one image per column.
        height: of every image on the sheet, in pixels; 256 is twice that of the demonstration figures.
        blocks: number of rows side by side; the sheet is filled from left to right.

    Raises:
        ValueError: there is no row, or a row has another number of images.
    """
    pictures = [[_enlarged(image, height) for image in row.images] for row in rows]
    if not rows or any(len(line) != len(columns) for line in pictures):
        raise ValueError(f"every row must have {len(columns)} images, and there must be a row")
    gap, margin, text = height // 32, height // 8, max(height // 14, 11)
    head_font, row_font = _font(round(text * 0.85)), _font(text)
    heading, caption = round(text * 2.0), round(text * 2.1)
    width = max(picture.width for line in pictures for picture in line)
    block_width = len(columns) * (width + gap) - gap
    per_block = -(-len(rows) // blocks)
    size = (
        margin + blocks * (block_width + margin),
        heading + per_block * (caption + height) + margin,
    )
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for block in range(blocks):
        left = margin + block * (block_width + margin)
        for column, name in enumerate(columns):
            middle = left + column * (width + gap) + width // 2
            draw.text((middle, heading), name, _FAINT, head_font, anchor="ms")
        own = zip(rows[block::blocks], pictures[block::blocks], strict=True)
        for line, (row, images) in enumerate(own):
            top = heading + line * (caption + height) + caption
            title = _shortened(row.title, row_font, block_width)
            draw.text((left, top - round(text * 0.5)), title, _INK, row_font, anchor="ls")
            for column, picture in enumerate(images):
                sheet.paste(picture, (left + column * (width + gap), top))
    return sheet


def loss_plot(trace: Trace) -> Image.Image:
    """A plot of every weighted loss over the steps: the mean of all edits, and the range as a band.

    Phases before the edit, refinement and tuning, have separate panels to the left.
    """
    count = trace.total.shape[1]
    panels = {name: part for name, part in trace.preparations() if part.steps}
    panels["One edit" if count == 1 else f"{count} edits: mean and range"] = trace
    figure = Figure(figsize=(2.5 + 5 * len(panels), 4.5), dpi=120, layout="constrained")
    for axes, (title, part) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        _draw_losses(axes, part)
        axes.set_title(title)
        if len(panels) > 1:  # the panels have different terms
            axes.legend(frameon=False)
        else:
            figure.legend(frameon=False, loc="outside right upper")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return Image.open(buffer).convert("RGB")


def _draw_losses(axes: Axes, trace: Trace) -> None:
    curves = {name: trace.weighted(name) for name in trace.terms}
    for name, values in {**curves, "total": trace.total}.items():
        finite = values.isfinite().any(dim=1)
        steps = torch.arange(len(values))[finite].numpy()
        values = values[finite].double()
        values = torch.where(values.isfinite(), values, torch.nan)
        (line,) = axes.plot(
            steps,
            values.nanmean(dim=1).numpy(),
            label=name,
            color="black" if name == "total" else None,
            linewidth=2.0 if name == "total" else 1.4,
        )
        if values.shape[1] > 1:
            low = values.nan_to_num(nan=torch.inf).amin(dim=1).numpy()
            high = values.nan_to_num(nan=-torch.inf).amax(dim=1).numpy()
            axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss times its weight")
    axes.spines[["top", "right"]].set_visible(False)


def write_plot(path: str | os.PathLike[str], picture: Image.Image) -> None:
    """Write a plot as PNG; the file appears whole or not at all.

    Raises:
        FiceError: the file cannot be written.
    """
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    write_bytes(path, buffer.getvalue())


def _enlarged(image: torch.Tensor, height: int) -> Image.Image:
    """An image (3, H, W) resized to `height`."""
    picture = Image.fromarray(to_bytes(image))
    width = round(picture.width * height / picture.height)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONT, size)


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """`text`, shortened with an ellipsis if it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
