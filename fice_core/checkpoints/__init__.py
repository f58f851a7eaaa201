"""Checkpoint files to networks and back: safe reading, detection, building, saving."""

from .description import Description, describe
from .loading import (
    load,
    load_clip,
    load_densepose,
    load_encoder,
    load_generator,
    load_sam,
    load_segmenter,
)
from .native import save

__all__ = [
    "Description",
    "describe",
    "load",
    "load_clip",
    "load_densepose",
    "load_encoder",
    "load_generator",
    "load_sam",
    "load_segmenter",
    "save",
]
