"""A network that maps a code and any text to an edited code, after HairCLIP (Wei et al. 2022).

HairCLIP's shape and colour branches and its hair mask do not apply to clothes, so this is its simplest form:
one branch for all layers, and FICE's image term for what must stay. It is trained on the generator's own
images, never on photos.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..extraction.extractors import extract_body_regions, synthesize
from ..files import make_folder
from ..inversion.losses import clip_loss, image_loss
from ..masks.garment import allowed_mask
from ..models import Models
from ..ops.autograd import with_grad, without_grad
from ..settings import MaskSettings
from ..training.loop import Schedule, Stage
from . import cache
from .contract import Edited, Task

# HairCLIP learns at 5e-4 in 500,000 steps; in hundreds that does nothing.
STEPS, BATCH, RATE = 600, 4, 1e-2
BLOCKS = 5
STRENGTH = 0.1  # of the network's output, as in StyleCLIP and HairCLIP
TEXT, LATENT = 2.0, 0.8  # HairCLIP's weights
IMAGE = 60.0  # FICE's weight of the image term relative to its text, 30, for a text of weight 2
_BANK = 256  # images that it is trained on


class Modulation(nn.Module):
    """Linear, layer norm, x * (1 + gamma(text)) + beta(text), leaky ReLU."""

    def __init__(self, width: int, text_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.gamma = nn.Linear(text_width, width)
        self.beta = nn.Linear(text_width, width)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """(N, L, width) and (N, 1, D) -> (N, L, width)."""
        y = self.norm(self.linear(x)) * (1 + self.gamma(text)) + self.beta(text)
        return F.leaky_relu(y, 0.2)


class Mapper(nn.Module):
    """Codes (N, num_ws, w_dim) and features of texts (N, D) -> offsets of the codes.

    The layers of the code are told apart by a learned vector each.
    """

    def __init__(self, num_ws: int, w_dim: int, text_width: int) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(num_ws, w_dim))
        self.blocks = nn.ModuleList(Modulation(w_dim, text_width) for _ in range(BLOCKS))
        self.last = nn.Linear(w_dim, w_dim)

    def forward(self, w_plus: Tensor, text: Tensor) -> Tensor:
        x = w_plus + self.place
        for block in self.blocks:
            x = block(x, text[:, None])
        offset: Tensor = STRENGTH * self.last(x)
        return offset


def train(
    models: Models,
    texts: Sequence[str],
    steps: int = STEPS,
    folder: Path | None = None,
    seed: int = 0,
) -> Mapper:
    """A mapper for the generator and the CLIP of some models, read from the cache or trained into it.

    Args:
        models: with CLIP, DensePose and segmenter.
        texts: the prompts of the training, at least one.
        steps: of Adam.
        folder: of the cache, see `cache.default_folder`. A run that is killed continues there.
        seed: of weights, images and order.
    """
    generator, clip = models.generator, models.clip
    name = cache.key(generator, clip, list(texts), steps, seed, BATCH, RATE, TEXT, LATENT, IMAGE)
    place = make_folder((folder or cache.default_folder()) / f"mapper-{name}")
    rng = torch.Generator().manual_seed(seed)
    with without_grad():
        features = torch.cat([clip.encode_text([text]) for text in texts])
    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(seed)
        network = Mapper(generator.num_ws, generator.w_dim, features.shape[1]).to(models.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    stage = Stage("mapper", place, {"network": network, "optimizer": optimizer}, rng)
    if stage.resume() < steps:
        step = _stepping(models, network, optimizer, features, rng, seed)
        with with_grad():
            stage.run(Schedule(steps, save_every=100), step)
    return network.eval().requires_grad_(False)


def _stepping(
    models: Models,
    network: Mapper,
    optimizer: torch.optim.Optimizer,
    features: Tensor,
    rng: torch.Generator,
    seed: int,
) -> Callable[[int], dict[str, Tensor]]:
    """One step of the training on a bank of the generator's images."""
    generator = models.generator
    with without_grad():
        drawn = torch.Generator().manual_seed(seed)
        codes = generator.map(
            torch.randn(_BANK, generator.z_dim, generator=drawn).to(models.device)
        )
        images = synthesize(generator, codes, True)
        body = extract_body_regions(models.densepose, models.segmenter, images)
        keep = 1 - allowed_mask(body, MaskSettings())

    def step(number: int) -> dict[str, Tensor]:
        chosen = torch.randint(_BANK, (BATCH,), generator=rng)
        said = features[torch.randint(len(features), (BATCH,), generator=rng)]
        offset = network(codes[chosen], said)
        made = generator.synthesize(codes[chosen] + offset)
        text = clip_loss(models.clip.encode_image(made), said)
        kept = image_loss(made, images[chosen], keep[chosen])
        size = offset.square().flatten(1).mean(dim=1)
        loss = (TEXT * text + IMAGE * kept + LATENT * size).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"text": text.mean().detach(), "image": kept.mean().detach()}

    return step


class MappedCode:
    """Adds what a trained mapper says to the starting code."""

    steps = 0

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper

    def edit(self, task: Task, steps: int | None = None) -> Edited:
        """See `Rival`."""
        w_plus = task.preparation.targets.w_plus
        with without_grad():
            w_plus = w_plus + self._mapper(w_plus, task.models.clip.encode_text(task.prompts))
            return Edited(task.models.generator.synthesize(w_plus), w_plus)
