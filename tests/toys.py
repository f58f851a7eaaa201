"""Tiny networks that obey the contract of the real ones and whose mathematics is known."""

import torch
from torch import nn

from fice_core.inversion.targets import Targets
from fice_core.models import Models
from fice_core.networks.segmenter import CLASSES, Regions
from fice_core.networks.stylegan2 import HeldFeatures
from fice_core.settings import EditSettings

SIZE, LAYERS, WIDTH = 8, 3, 4
# Toy networks see no persons and know no garments: what looks at the photo's content is off.
BLIND = EditSettings(
    steps=5,
    framing="whole",
    backdrop="keep",
    sharp_mask=False,
    match_colour=False,
    match_grain=False,
    match_skin=False,
    mask_dilation=0.0,
    mask_feather=0.0,
    change_threshold=0.0,
)


def _frozen(build):
    """Construct like the loaders do: ordinary, frozen tensors, also in inference mode."""

    def wrapped(*args, **kwargs):
        with torch.inference_mode(False):
            return build(*args, **kwargs).eval().requires_grad_(False)

    return wrapped


def _random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class ToyGenerator(nn.Module):
    """Linear: every layer's w adds its own image to a grey one. Full column rank."""

    def __init__(self, seed: int = 0, poison: float = float("inf")) -> None:
        super().__init__()
        self.resolution, self.num_ws, self.w_dim, self.z_dim = (SIZE, SIZE), LAYERS, WIDTH, 5
        self.basis = nn.Parameter(_random(LAYERS * WIDTH, 3 * SIZE * SIZE, seed=seed) * 0.05)
        self.synthesis = nn.ParameterList([self.basis])  # all that makes the image
        self.projection = nn.Parameter(_random(self.z_dim, WIDTH, seed=seed + 1))
        self.poison = poison
        self.demonstration = True

    @property
    def w_avg(self) -> torch.Tensor:
        return torch.full((WIDTH,), 0.5)

    def mapping(self, z: torch.Tensor) -> torch.Tensor:
        return z @ self.projection + 0.5

    def map(self, z: torch.Tensor, truncation: float = 1.0) -> torch.Tensor:
        return self.mapping(z)[:, None].expand(-1, self.num_ws, -1)

    def synthesize(self, w_plus: torch.Tensor, held: HeldFeatures | None = None) -> torch.Tensor:
        if held is not None:
            own, old = self.synthesize(w_plus), self.synthesize(held.w_plus).detach()
            return torch.lerp(own, old, held.mask)
        images = (w_plus.flatten(1) @ self.basis).unflatten(1, (3, SIZE, SIZE)) + 0.5
        # Codes beyond `poison` make NaN: a generator that leaves its domain.
        bad = w_plus.flatten(1).abs().amax(dim=1) > self.poison
        return torch.where(bad[:, None, None, None], torch.nan, images)


class ToyEncoder(nn.Module):
    """Least squares inverse of the toy generator."""

    def __init__(self, generator: ToyGenerator) -> None:
        super().__init__()
        self.inverse = nn.Parameter(torch.linalg.pinv(generator.basis))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return ((images - 0.5).flatten(1) @ self.inverse).unflatten(1, (LAYERS, WIDTH))


class ToyClip(nn.Module):
    """Nonlinear features of the image; a text's features follow from its letters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(_random(3 * SIZE * SIZE, 6, seed=3))
        self.image_size = (SIZE, SIZE)

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(torch.tanh(images.flatten(1) @ self.weight), dim=-1)

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        rows = [_random(6, seed=sum(map(ord, text))) for text in texts]
        return nn.functional.normalize(torch.stack(rows), dim=-1)

    def unknown_words(self, text: str) -> list[str]:
        return [word for word in text.split() if word.startswith("x")]


class ToyDensePose(nn.Module):
    """A fixed person: torso in the middle columns, arms beside it, head above; plus a little of the
    image, so that there is a gradient."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        layout = torch.zeros(14, SIZE, SIZE)
        layout[1, 3:7, 3:5] = 1
        layout[4, 3:6, 2] = layout[5, 3:6, 5] = 1
        layout[2, 6, 2] = layout[3, 6, 5] = 1
        layout[12, 1:3, 3:5] = 1
        light = images.mean(dim=1, keepdim=True)
        return layout * (0.9 + 0.1 * torch.sigmoid(light))


class ToySegmenter(nn.Module):
    """Body is rows 3 to 6 of columns 2 to 5, head is above it."""

    labels = CLASSES

    def classes(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return self(images)._asdict()

    def forward(self, images: torch.Tensor) -> Regions:
        light = 0.05 * torch.sigmoid(images.mean(dim=1, keepdim=True))
        body, head = torch.zeros_like(light), torch.zeros_like(light)
        body[..., 3:7, 2:6] = 0.9
        head[..., 1:3, 2:6] = 0.9
        body, head = body + light, head + light
        return Regions(1 - body - head, body, head)

    def features(self, images: torch.Tensor, count: int) -> list[torch.Tensor]:
        return [nn.functional.avg_pool2d(images, 2**k) for k in range(count)]


toy_generator = _frozen(ToyGenerator)
toy_encoder = _frozen(ToyEncoder)
toy_clip = _frozen(ToyClip)
toy_densepose = _frozen(ToyDensePose)
toy_segmenter = _frozen(ToySegmenter)


def toy_models(generator: ToyGenerator | None = None) -> Models:
    generator = generator or toy_generator()
    encoder = toy_encoder(generator)
    return Models(generator, lambda: encoder, toy_densepose(), toy_segmenter(), toy_clip())


def toy_targets(count: int, models: Models, seed: int = 7) -> Targets:
    """Targets for `count` random images, with every field given."""
    images = 0.5 + 0.2 * _random(count, 3, SIZE, SIZE, seed=seed)
    with torch.no_grad():
        regions = models.segmenter(images)
        return Targets(
            images=images,
            w_plus=_random(count, LAYERS, WIDTH, seed=seed + 1),
            text_features=models.clip.encode_text([f"prompt {k}" for k in range(count)]),
            parts=models.densepose(images),
            head=regions.head,
            keep_mask=1 - regions.body,
        )
