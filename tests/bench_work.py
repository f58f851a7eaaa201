"""Tiny networks to measure, and work for other processes, which can import this module and no torch."""

import os
import signal
from collections.abc import Callable
from typing import Any

from fice_core.errors import FiceError

TINY: dict[str, dict[str, Any]] = {
    "generator": {
        "resolution": [32, 32],
        "z_dim": 8,
        "w_dim": 8,
        "channel_base": 128,
        "channel_max": 8,
        "mapping_layers": 2,
        "conv_clamp": 256.0,
    },
    "encoder": {
        "input_size": 32,
        "stages": [[16, 1], [20, 2], [24, 1], [28, 1]],
        "num_styles": 8,
        "style_dim": 8,
        "head_channels": 8,
    },
    "densepose": {
        "stem_channels": 4,
        "width": 4,
        "blocks": [1, 1, 1, 1],
        "fpn_channels": 4,
        "decoder_channels": 4,
        "head_convs": 2,
        "head_channels": 4,
        "pooler_size": 4,
    },
    "segmenter": {"stem_channels": 4, "width": 4, "blocks": [1, 1, 1, 1], "aspp_channels": 4},
    "clip": {
        "embed_dim": 16,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 32, "image_size": 32},
        "text_cfg": {"context_length": 8, "width": 32, "heads": 2, "layers": 1},
        "vocabulary": ["a", "red", "shirt", "striped"],
    },
}


def double(number: int, progress: Callable[[], None]) -> tuple[int, int]:
    progress()
    progress()
    return os.getpid(), 2 * number


def mistaken(progress: Callable[[], None]) -> None:
    raise FiceError("no such thing")


def killed(progress: Callable[[], None]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def without_memory(progress: Callable[[], None]) -> None:
    raise MemoryError("none left")


def broken(progress: Callable[[], None]) -> None:
    raise ZeroDivisionError
