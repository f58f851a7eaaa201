"""Trains the demonstration CLIP on rendered and generated people.

The contrastive loss knows which captions are true for which people of the batch. A caption may be true
for several images. Pairs that are neither true nor false are ignored. Half of the captions are of people
who differ from one of the batch in a single fact: colour and pattern tell the people of a batch apart, so
sleeves would not be learnt without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...networks.clip import Clip
from ...people import wording
from ...people.attributes import NECKLINES, PATTERNS
from ...people.captions import Facts, told, vocabulary
from ...people.colours import COLOURS
from ..loop import Schedule, Weights, fast_bf16, fit
from .dataset import People
from .fakes import Fakes

CONTEXT_LENGTH = 40
CONFIG: dict[str, Any] = {
    "embed_dim": 160,
    "vision_cfg": {"layers": [1, 1, 2, 1], "width": 16, "head_width": 32, "image_size": 192},
    "text_cfg": {"context_length": CONTEXT_LENGTH, "width": 160, "heads": 4, "layers": 2},
    "quick_gelu": True,
}
#: the values of each fact, whose places in these lists are its numbers
VALUES: dict[str, Sequence[str | int]] = {
    "colour": list(COLOURS),
    "pattern": PATTERNS,
    "sleeve": wording.SLEEVES,
    "neckline": NECKLINES,
    "kind": list(wording.KINDS),
    "fabric": list(wording.FABRICS),
    "lower": list(wording.LOWERS),
    "lower_colour": list(COLOURS),
    "gender": (0, 1),
}
#: how often each fact is the one that is changed in a person, see `changed`
CHANGED = {"sleeve": 0.6, "pattern": 0.25, "colour": 0.15}
#: largest adversarial change of a pixel in training, in units of [0, 1], and the share of the steps with any
ATTACK = 6 / 255
ATTACKED = 0.5
#: weight of `FactLoss`
READ = 4.0


def numbered(known: Sequence[Facts]) -> Tensor:
    """Facts as numbers, (n, 9) int64; -1 where nothing is known or told."""
    names = [field.name for field in fields(Facts)]
    rows = [[getattr(one, name) for name in names] for one in known]
    return torch.tensor(
        [
            [-1 if v is None else VALUES[n].index(v) for n, v in zip(names, row, strict=True)]
            for row in rows
        ]
    )


def truth(told: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Which captions are true of which people, by the facts that they tell and those that are known.

    (M, 9) and (N, 9) as `numbered` gives them -> two (M, N) bool tensors: `true` where all that is told
    holds, `false` where something told does not. Neither is set where a person is undecided in something
    told.
    """
    said = told[:, None] >= 0
    same = told[:, None] == known[None]
    undecided = known[None] < 0
    return (same | ~said).all(-1), (said & ~same & ~undecided).any(-1)


class FactLoss(nn.Module):
    """How badly the facts of people can be read from image features, by one linear layer for each fact.

    Captions tell an image apart from the others of its batch; this asks for every fact of every image.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.readers = nn.ModuleDict(
            {name: nn.Linear(width, len(values)) for name, values in VALUES.items()}
        )

    def forward(self, features: Tensor, known: Tensor) -> Tensor:
        """Mean cross-entropy of the facts that are known.

        Args:
            features: (N, D), unit norm.
            known: (N, 9) as `numbered` gives them.
        """
        scaled = features * features.shape[1] ** 0.5
        losses = [
            F.cross_entropy(reader(scaled), known[:, k], ignore_index=-1, reduction="sum")
            for k, reader in enumerate(self.readers.values())
        ]
        return torch.stack(losses).sum() / (known >= 0).sum().clamp_min(1)


def changed(known: Facts, rng: np.random.Generator) -> Facts:
    """The facts of somebody who differs in one of `CHANGED` alone, and in a kind that follows from it."""
    field = str(rng.choice(list(CHANGED), p=list(CHANGED.values())))
    others = [value for value in VALUES[field] if value != getattr(known, field)]
    value = others[int(rng.integers(len(others)))]
    kind = known.kind
    if field == "sleeve" and kind in wording.BY_SLEEVE.values():
        kind = wording.BY_SLEEVE.get(str(value))
    new: dict[str, Any] = {field: value, "kind": kind}
    return replace(known, **new)


def contrastive_loss(
    image: Tensor, text: Tensor, scale: Tensor, true: Tensor, false: Tensor
) -> Tensor:
    """Symmetric InfoNCE loss with several positives.

    The loss of a row is -log of the share of its true entries in the softmax over its true and false
    ones.

    Args:
        image: features (N, D), unit norm.
        text: features (M, D), unit norm.
        scale: factor of the logits.
        true, false: (M, N) bool.
    """
    logits = scale * text @ image.t()
    labelled = logits.masked_fill(~(true | false), -math.inf)
    positive = logits.masked_fill(~true, -math.inf)
    loss = logits.new_zeros(())
    for dim in (0, 1):
        has_positive = true.any(dim)
        rows = torch.logsumexp(labelled, dim) - torch.logsumexp(positive, dim)
        loss = loss + rows[has_positive].mean()
    return loss / 2


def placed(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) -> (N, C, size, size) with a random shift, zoom and mirroring; captions stay true."""
    n = len(images)

    def draw(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    zoom, dx, dy = draw(0.78, 1.12), draw(-0.07, 0.07), draw(-0.07, 0.07)
    theta = torch.zeros(n, 2, 3)
    mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    theta[:, 0, 0], theta[:, 1, 1] = zoom * mirror, zoom
    theta[:, 0, 2], theta[:, 1, 2] = dx * 2, dy * 2
    grid = F.affine_grid(theta, [n, images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def photographed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images with random blur, noise and brightness."""
    n, _, height, width = images.shape

    def draw(low: float, high: float) -> Tensor:
        return (torch.rand(n, generator=generator) * (high - low) + low)[:, None, None, None]

    blurred = F.interpolate(F.avg_pool2d(images, 2), size=(height, width), mode="bilinear")
    images = torch.lerp(images, blurred, draw(-0.5, 1.0).clamp_min(0))
    noise = torch.randn(images.shape, generator=generator)
    return images.addcmul(noise, draw(-0.03, 0.06).clamp_min(0)) * draw(0.95, 1.05)


def recolour(images: Tensor, garment: Tensor, person: Tensor, generator: torch.Generator) -> Tensor:
    """Images of which half have a random tint, one for the wall and one for the person.

    The garment is not tinted. Captions describe only the garment. A network that was not trained on
    orange skin mistakes it for an orange shirt, and an edit would exploit that.
    """
    gains = torch.rand(len(images), 2, 3, 1, 1, generator=generator) * 0.9 + 0.4
    tinted = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    tint = torch.lerp(gains[:, 0], gains[:, 1], person)
    tint = torch.where(tinted, torch.lerp(tint, torch.ones_like(tint), garment), 1.0)
    return (images * tint).clamp(0, 1)


def attack(
    images: Tensor,
    loss: Callable[[Tensor], Tensor],
    strength: float,
    generator: torch.Generator,
) -> Tensor:
    """Images changed by the fast gradient sign method, so that `loss` grows.

    The change per pixel is random for each image, up to `strength`.
    """
    inputs = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(inputs), inputs)
    amount = torch.rand(len(images), 1, 1, 1, generator=generator) * strength
    return images + amount * gradient.sign()


def train(
    people: People,
    fakes: Fakes | None,
    folder: Path,
    schedule: Schedule,
    start: Weights = None,
    batch: int = 48,
    seed: int = 0,
) -> tuple[Clip, bool]:
    """Train, or resume training; returns the averaged network, and whether all steps are done.

    Half of each batch is rendered, half generated. In half of the steps the images are first changed
    slightly so that they agree less with their captions (fast gradient sign method, Goodfellow et al. 2015).
    The gradients of a network that is robust to such changes point to visible changes of the garment, and an
    edit follows these gradients.
    """
    generator = torch.Generator().manual_seed(seed + 20)
    with torch.random.fork_rng():
        torch.manual_seed(seed + 20)
        network = Clip(**CONFIG, vocabulary=vocabulary())
        facts_loss = FactLoss(CONFIG["embed_dim"])
    if start is not None:
        network.load_state_dict(start)
    trained = [*network.parameters(), *facts_loss.parameters()]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}],
        lr=1.5e-3,
        betas=(0.9, 0.98),
    )
    side = CONFIG["vision_cfg"]["image_size"]

    def draw() -> tuple[Tensor, list[Facts]]:
        count = batch if fakes is None else batch // 2
        index = torch.randint(len(people), (count,), generator=generator)
        real = people.batch(index)
        person = (real.body + real.head).clamp(0, 1)
        layers = placed(torch.cat([real.images, real.garment, person], 1), side, generator)
        images = recolour(layers[:, :3], layers[:, 3:4], layers[:, 4:], generator)
        known = [people.facts[i] for i in index.tolist()]
        if fakes is not None:
            index = torch.randint(len(fakes), (batch - count,), generator=generator)
            images = torch.cat([images, placed(fakes.batch(index), side, generator)])
            known += [fakes.facts[i] for i in index.tolist()]
        return photographed(images, generator), known

    def objective() -> tuple[Tensor, dict[str, Tensor]]:
        images, known = draw()
        # of the one generator that a checkpoint contains
        rng = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
        others = [changed(one, rng) for one in known]
        told_all = [told(one, rng) for one in known + others]
        facts = numbered(known)
        true, false = truth(numbered([said for _, said in told_all]), facts)
        scale = network.model.logit_scale.exp().clamp(max=60)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bf16()):
            text = network.encode_text([text for text, _ in told_all]).float()

        def image_features(images: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bf16()):
                return network.encode_image(images).float()

        def loss_of(image: Tensor) -> Tensor:
            return contrastive_loss(image, text.detach(), scale.detach(), true, false)

        if float(torch.rand((), generator=generator)) < ATTACKED:
            images = attack(images, lambda x: loss_of(image_features(x)), ATTACK, generator)
        image = image_features(images)
        read = facts_loss(image, facts)
        loss = contrastive_loss(image, text, scale, true, false) + READ * read
        with torch.no_grad():
            best = (text @ image.t()).masked_fill(~(true | false), -2).argmax(1)
            hit = true[torch.arange(len(best)), best][true.any(1)].float().mean()
        return loss, {
            "loss": loss.detach(),
            "facts": read.detach(),
            "top1": hit,
            "scale": scale.detach(),
        }

    return fit(
        "clip", folder, network, optimizer, generator, schedule, objective, 0.998, helper=facts_loss
    )
