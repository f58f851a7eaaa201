"""Inputs that several nodes have."""

from comfy_api.latest import io

from ..fice_core.settings import OptimizerSettings, StitchMode

#: values of the widget `framing`
FRAMINGS = ["auto", "person", "whole"]
#: values of the widget `blend`, and the stitch mode of each
BLENDS: dict[str, StitchMode] = {"feathered": "mask", "pyramid": "pyramid", "gradient": "gradient"}

STEPS = io.Int.Input(
    "steps",
    default=OptimizerSettings().steps,
    min=1,
    max=5000,
    tooltip="Optimisation steps; the paper takes 501. Fewer are faster and follow the text less.",
)
SEED = io.Int.Input(
    "seed",
    default=0,
    min=0,
    max=2**64 - 1,
    control_after_generate=True,
    tooltip="The same seed gives the same picture to the byte; another one another edit.",
)
GARMENT = io.Combo.Input(
    "garment",
    options=["upper", "lower", "outfit"],
    default="upper",
    optional=True,
    tooltip="What is edited: the upper garment, the lower one, or both.",
)


def frames_input(optional: bool = False) -> io.Int.Input:
    """The number of steps whose images the trace keeps."""
    return io.Int.Input(
        "frames",
        default=24,
        min=0,
        max=1000,
        optional=optional,
        tooltip="Pictures on the way that the trace keeps, for Trace Frames; 0 keeps none.",
    )
