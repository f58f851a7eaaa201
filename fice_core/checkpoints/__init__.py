"""Checkpoint files to networks and back: detection, safe reading, building."""

from .loading import load_clip, load_densepose, load_encoder, load_generator, load_segmenter
from .native import save

__all__ = [
    "load_clip",
    "load_densepose",
    "load_encoder",
    "load_generator",
    "load_segmenter",
    "save",
]
