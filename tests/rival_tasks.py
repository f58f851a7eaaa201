"""Edits for the rivals to make, with toy networks."""

import torch
from toys import BLIND, SIZE, toy_models

from fice_core.editing.prepare import PromptFeatures, prepare
from fice_core.framing import Frame
from fice_core.models import Models
from fice_core.rivals.contract import Task

PROMPTS = ("a red shirt", "a blue shirt")


def photos(count: int = 2) -> torch.Tensor:
    """Images with exact 8-bit levels."""
    levels = torch.randint(
        60, 200, (count, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(5)
    )
    return levels.float() / 255


def task(models: Models | None = None, count: int = 2) -> Task:
    models = models or toy_models()
    prompts = list(PROMPTS[:count])
    texts = PromptFeatures.of(models.clip, prompts, "", "")
    frame = Frame((SIZE, SIZE), (SIZE, SIZE), (0, 0, SIZE, SIZE))  # too small to be looked for
    preparation = prepare(
        models, photos(count), texts, BLIND, None, [frame] * count, lambda step: None
    )
    return Task(models, preparation, prompts, [""] * count)
