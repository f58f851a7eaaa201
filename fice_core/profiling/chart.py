"""A chart of the measurements: the stages of one step, and the steps by batch and size."""

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ..errors import FiceError
from .report import LABELS, Measured
from .results import OURS, PAPER, PLAIN, Timing


def chart(found: Sequence[Measured]) -> Image.Image:
    """A chart with two panels.

    Left: the stages of the first configuration, and their time at the machine's peak speed. Right:
    seconds per step of all configurations, for our loop and the plain one.

    Raises:
        FiceError: nothing could be measured.
    """
    timed = [one for one in found if one.timing is not None]
    if not timed:
        raise FiceError("there is nothing to plot: memory ran out in every configuration")
    figure = Figure(figsize=(13, 4.5), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    first = timed[0].timing
    assert first is not None
    _draw_stages(left, first)
    left.set_title(timed[0].title.replace("`", ""), fontsize=10)
    _draw_loops(right, timed)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return Image.open(buffer).convert("RGB")


def _draw_stages(axes: Axes, timing: Timing) -> None:
    names = [*timing.stages][::-1]
    labels = [LABELS.get(name, name) for name in names]
    seconds = [timing.stages[name].median for name in names]
    floor = [timing.stages[name].floor(timing.peaks) for name in names]
    axes.barh(labels, seconds, color="#9db8d2", label="measured")
    axes.barh(labels, floor, height=0.35, color="#2f5d8a", label="at the peak of matrix products")
    axes.set_xlabel("seconds per step")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_loops(axes: Axes, timed: Sequence[Measured]) -> None:
    styles = {OURS: "#2f5d8a", PAPER: "#9db8d2", PLAIN: "#c77b4a"}
    positions = range(len(timed))
    width = 0.8 / len(styles)
    labels = []
    for one in timed:
        assert one.timing is not None
        labels.append(f"{one.configuration.batch} of {one.timing.resolution[0]}")
    for k, (name, colour) in enumerate(styles.items()):
        loops = [one.timing.loops.get(name) for one in timed if one.timing is not None]
        heights = [loop.median if loop else 0.0 for loop in loops]
        left = [position + (k - 1) * width for position in positions]
        axes.bar(left, heights, width, color=colour, label=LABELS[name].strip("*"))
    axes.set_xticks(list(positions), labels)
    axes.set_xlabel("batch size, and height of the images in pixels")
    axes.set_ylabel("seconds per step")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
