"""Make the compact reference vectors of this folder from the full ones.

The full set was computed once by the authors' program on the checkpoints that `make_checkpoints.py
--seed 0` writes. Pictures and maps keep every third row and column (3 is prime to the strides of
all networks, so every phase of every upsampling is seen); the rest is kept whole. All float32.

    python compact.py golden_seed0.npz
"""

import sys
from pathlib import Path

import numpy as np

STRIDE = 3
FILE = Path(__file__).parent / "golden_seed0_compact.npz"
MAPS = (
    *("gen_init", "body_input", "body_gen", "seg_background", "seg_body", "seg_head", "head_gen"),
    *("final_gen", "final_stitched"),
)
TERMS = ("img", "shape", "head_shape", "w_delta", "clip")
WHOLE = (
    *("tokens", "w_init", "w_after1", "w_after5", "w_after10", "w_after20", "grad_total"),
    *(f"{kind}_{term}" for kind in ("loss0", "loss0w", "gradw") for term in TERMS),
    *("loss0_total", "curve_weighted", "curve_total", "text_features"),
    *("clip_image_features_input", "clip_image_features_gen"),
    *("clip_similarity_input", "clip_similarity_gen"),
    *("vitb32_text_features", "vitb32_image_features_input", "vitb32_image_features_gen"),
    "vitb32_similarity_input",
)


def subset(maps):  # type: ignore[no-untyped-def]
    """The part of maps (..., H, W), array or tensor, that the compact file keeps."""
    return maps[..., ::STRIDE, ::STRIDE]


def main() -> None:
    with np.load(sys.argv[1]) as full:
        kept = {key: subset(full[key]) for key in MAPS} | {key: full[key] for key in WHOLE}
    np.savez_compressed(FILE, **kept)


if __name__ == "__main__":
    main()
