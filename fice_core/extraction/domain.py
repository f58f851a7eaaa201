"""Whether the models know an image: what their reconstruction of the person misses.

Encoder and generator reproduce images like those of their training. Of other images they make a person
who looks different, and an edit of that person says little about the image. The measure has no unit: it
compares the error with the contrast of the person. So one limit serves photos and drawings.
"""

from weakref import WeakKeyDictionary

import torch

from ..networks.e4e import Encoder
from ..networks.regions import PersonSegmenter, Regions
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from ..ops.resize import resize
from .extractors import encode_latent, segment_regions, synthesize

#: error over contrast; up to here an image is known. The demonstration models' held-out images reach 0.36,
#: photographs start at 0.88 (benchmarks/bench_domain.py)
KNOWN = 0.5
#: images are also known up to this multiple of the error on the generator's own ones
_TOLERANCE = 2.0
_ROWS = 32  # height at which images are compared: shape and colours count, fine patterns do not
_LEAST_CONTRAST = 0.1  # of a person, so that a small error on plain dark clothes stays small
_SAMPLES, _TRUNCATION = 8, 0.7  # the generator's own images
_BACK, _FRONT = 0, 1  # DensePose's parts of the torso
_LEAST_TORSO = 0.01  # share of the frame from which a torso is one

_usual: WeakKeyDictionary[Generator, float] = WeakKeyDictionary()


def reconstruction_error(
    images: torch.Tensor, reconstructed: torch.Tensor, person: torch.Tensor
) -> torch.Tensor:
    """Error of reconstructed persons over their contrast, (N,): root mean square over standard deviation.

    Args:
        images, reconstructed: (N, 3, H, W) in [0, 1].
        person: soft mask, (N, 1, H, W); 0 is returned where it is empty.
    """
    size = (_ROWS, max(1, round(_ROWS * images.shape[-1] / images.shape[-2])))
    small, rebuilt, weight = (resize(x.float(), size) for x in (images, reconstructed, person))
    total = weight.sum((2, 3), keepdim=True).clamp_min(1e-6)

    def mean(values: torch.Tensor) -> torch.Tensor:
        return (values * weight).sum((2, 3), keepdim=True) / total

    error = mean((rebuilt - small).square()).mean((1, 2, 3)).sqrt()
    contrast = mean((small - mean(small)).square()).mean((1, 2, 3)).sqrt()
    return error / contrast.clamp_min(_LEAST_CONTRAST)


def usual_error(generator: Generator, encoder: Encoder, segmenter: PersonSegmenter) -> float:
    """The median error on the generator's own images; computed once per generator."""
    if generator not in _usual:
        with without_grad():
            rng = torch.Generator().manual_seed(0)
            z = torch.randn(_SAMPLES, generator.z_dim, generator=rng)
            w_plus = generator.map(z.to(generator.w_avg.device), _TRUNCATION)
            images = synthesize(generator, w_plus, clamp=True)
            rebuilt = synthesize(generator, encode_latent(generator, encoder, images), clamp=True)
            person = _person(segment_regions(segmenter, images))
            _usual[generator] = float(reconstruction_error(images, rebuilt, person).median())
    return _usual[generator]


def unknown_images(
    generator: Generator,
    encoder: Encoder | None,
    segmenter: PersonSegmenter,
    images: torch.Tensor,
    reconstructed: torch.Tensor,
    regions: Regions,
) -> list[str]:
    """One line for every image that the models do not know.

    Args:
        encoder: of the codes; None if they were searched.
        images: at the generator's resolution, (N, 3, H, W) in [0, 1].
        reconstructed: by the generator from the images' codes, the same shape.
        regions: of the images.
    """
    errors = reconstruction_error(images, reconstructed, _person(regions))
    if not bool((errors > KNOWN).any()):
        return []
    # without an encoder, the codes of the own images would have to be searched as well
    usual = 0.0 if encoder is None else usual_error(generator, encoder, segmenter)
    own = f", on their own images by {usual:.0%}" if usual else ""
    limit = max(KNOWN, _TOLERANCE * usual)
    return [
        f"image {number} is unlike the images that these models know: their reconstruction of the person "
        f"is off by {error:.0%} of the contrast{own}; expect an edit that does not suit the person, or use "
        "models trained on such images (docs/models.md)"
        for number, error in enumerate(errors.tolist(), start=1)
        if error > limit
    ]


def seen_from_behind(parts: torch.Tensor) -> list[str]:
    """One line for every image in which DensePose sees more of the back than of the chest.

    Args:
        parts: (N, 14, S, S) in [0, 1], see `DensePose`.
    """
    torso = parts[:, [_BACK, _FRONT]]
    sure = torso.sum(dim=1, keepdim=True) > 0.5
    back, front = (torso * sure).mean(dim=(2, 3)).T
    behind = (back > front) & (back + front > _LEAST_TORSO)
    return [
        f"image {number} shows the person from behind: most generators of people know fronts only; expect "
        "an edit that does not suit the person, or take a photo from the front"
        for number, back_first in enumerate(behind.tolist(), start=1)
        if back_first
    ]


def _person(regions: Regions) -> torch.Tensor:
    return regions.body + regions.head
