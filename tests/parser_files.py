"""Tiny SegFormers as transformers writes them, with the labels of published parsers."""

from pathlib import Path
from typing import Any

import torch

ATR = (
    "Background", "Hat", "Hair", "Sunglasses", "Upper-clothes", "Skirt", "Pants", "Dress", "Belt",
    "Left-shoe", "Right-shoe", "Face", "Left-leg", "Right-leg", "Left-arm", "Right-arm", "Bag", "Scarf",
)  # fmt: skip
FASHN = (
    "background", "face", "hair", "top", "dress", "skirt", "pants", "belt", "bag", "hat", "scarf",
    "glasses", "arms", "hands", "legs", "feet", "torso", "jewelry",
)  # fmt: skip
LIP = (
    "Background", "Hat", "Hair", "Glove", "Sunglasses", "Upper-clothes", "Dress", "Coat", "Socks",
    "Pants", "Jumpsuits", "Scarf", "Skirt", "Face", "Left-arm", "Right-arm", "Left-leg", "Right-leg",
    "Left-shoe", "Right-shoe",
)  # fmt: skip


def write_segformer(
    folder: Path,
    labels: tuple[str, ...] | None = ATR,
    size: Any = None,
    often: str | None = None,
    **settings: Any,
) -> Any:
    """Write a random SegFormer with `save_pretrained`, and return transformers' own model.

    Args:
        folder: of the download, made if need be.
        labels: in `id2label`; None for transformers' LABEL_0, LABEL_1, ...
        size: of the images, in pixels, as `preprocessor_config.json` has it; None writes no such file.
        often: a label that is found in most places.
        settings: of `SegformerConfig`.
    """
    from transformers import (
        SegformerConfig,
        SegformerForSemanticSegmentation,
        SegformerImageProcessor,
    )

    named = {} if labels is None else {"id2label": dict(enumerate(labels))}
    tiny = {
        "depths": [1, 2, 1, 1],
        "hidden_sizes": [8, 16, 24, 32],
        "num_attention_heads": [1, 2, 3, 4],
        "decoder_hidden_size": 16,
        "num_labels": 18,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = SegformerConfig(**(tiny | settings | named))
        model = SegformerForSemanticSegmentation(config).eval().requires_grad_(False)
        # As trained: the classes differ, and the norm before them has a mean and a spread.
        model.decode_head.classifier.weight.normal_(std=2.0)
        model.decode_head.batch_norm.running_mean.normal_()
        model.decode_head.batch_norm.running_var.uniform_(0.5, 2.0)
        if often is not None:
            number = list(labels or ()).index(often)
            length = model.decode_head.classifier.weight[number].norm()
            model.decode_head.classifier.bias[number] += 4 * length
    model.save_pretrained(folder)
    if size is not None:
        SegformerImageProcessor(size=size).save_pretrained(folder)
    return model
