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
    tooltip="Number of optimisation steps; the paper uses 501. Fewer steps are faster but follow the "
    "text less.",
)
SEED = io.Int.Input(
    "seed",
    default=0,
    min=0,
    max=2**64 - 1,
    control_after_generate=True,
    tooltip="The same seed gives the same result, byte for byte. Another seed gives another edit.",
)
GARMENT = io.Combo.Input(
    "garment",
    options=["upper", "lower", "outfit", "dress"],
    default="upper",
    optional=True,
    tooltip="The garment to edit: the upper one, the lower one, the whole outfit, or what becomes a dress. "
    "A segmenter that names clothes tells exactly where they are.",
)


def frames_input(optional: bool = False) -> io.Int.Input:
    """The number of steps whose images the trace keeps."""
    return io.Int.Input(
        "frames",
        default=24,
        advanced=True,
        min=0,
        max=1000,
        optional=optional,
        tooltip="Number of intermediate images that the trace keeps for Trace Frames; 0 keeps none.",
    )
