"""Networks from checkpoint files and back: safe reading, detection, building, saving.

May import from `networks` and the layers below it: `errors`, `files`, `ops`.
"""

from .description import Description, describe
from .layouts.folders import weights_file
from .layouts.open_clip import architecture_names
from .loading import (
    load,
    load_clip,
    load_densepose,
    load_encoder,
    load_generator,
    load_sam,
    load_segmenter,
)
from .native import SOURCE_KEY, save
from .plain import plain_weights

__all__ = [
    "SOURCE_KEY",
    "Description",
    "architecture_names",
    "describe",
    "load",
    "load_clip",
    "load_densepose",
    "load_encoder",
    "load_generator",
    "load_sam",
    "load_segmenter",
    "plain_weights",
    "save",
    "weights_file",
]
