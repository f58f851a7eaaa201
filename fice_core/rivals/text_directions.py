"""Directions between texts for CLIP, averaged over the templates with which CLIP was made a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import FiceError
from ..networks.clip import Clip
from ..ops.autograd import without_grad


def averaged(clip: Clip, text: str) -> Tensor:
    """The mean of the features of a text in all of OpenAI's ImageNet templates that it fits in, (D,).

    The templates come from open_clip. Where none fits, the text alone counts.
    """
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    found = []
    for template in OPENAI_IMAGENET_TEMPLATES:
        try:
            found.append(clip.encode_text([template(text)]))
        except FiceError:  # too long in this template
            continue
    return torch.cat(found or [clip.encode_text([text])]).mean(dim=0)


def directions(clip: Clip, prompts: Sequence[str], neutral: str) -> Tensor:
    """Unit directions from a neutral text to each prompt, (N, D)."""
    with without_grad():
        away = averaged(clip, neutral)
        return F.normalize(torch.stack([averaged(clip, p) - away for p in prompts]), dim=1)
