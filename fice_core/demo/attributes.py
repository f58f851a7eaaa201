"""What a demonstration figure looks like, as a smooth function of a Gaussian code.

Every attribute is continuous and the map from the code to the attributes is continuous too, so that
a StyleGAN2 mapping network can learn it and its W space has no cliffs: between a tank top and a
T-shirt there are ever longer sleeves, between a plain and a striped shirt ever stronger stripes,
and the twelve named garment colours sit on the vertices of an icosahedron, blending on its edges.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

CODE_DIM = 48

#: The twelve named garment colours, sRGB in [0, 1]. The order is that of the icosahedron below:
#: one pole, the upper ring, the lower ring (turned by 36 degrees), the other pole.
COLOURS: dict[str, tuple[float, float, float]] = {
    "white": (0.95, 0.95, 0.94),
    "yellow": (0.96, 0.81, 0.22),
    "orange": (0.94, 0.50, 0.13),
    "pink": (0.95, 0.56, 0.70),
    "grey": (0.56, 0.57, 0.59),
    "teal": (0.10, 0.58, 0.59),
    "brown": (0.44, 0.28, 0.17),
    "red": (0.79, 0.13, 0.16),
    "purple": (0.45, 0.23, 0.62),
    "blue": (0.15, 0.33, 0.76),
    "green": (0.18, 0.53, 0.26),
    "black": (0.12, 0.12, 0.14),
}
PATTERNS = ("plain", "stripes", "dots", "checks", "print")
NECKLINES = ("crew", "v", "collar")
SLEEVES = ("sleeveless", "short", "long")

_SKIN = (
    (0.98, 0.86, 0.77),
    (0.94, 0.77, 0.64),
    (0.85, 0.64, 0.49),
    (0.70, 0.48, 0.34),
    (0.52, 0.34, 0.24),
    (0.36, 0.23, 0.17),
)
_HAIR = (
    (0.10, 0.09, 0.10),
    (0.22, 0.14, 0.10),
    (0.40, 0.24, 0.13),
    (0.58, 0.27, 0.14),
    (0.82, 0.65, 0.38),
    (0.62, 0.60, 0.60),
)
_BOTTOM = (
    (0.16, 0.17, 0.22),
    (0.20, 0.28, 0.45),
    (0.37, 0.47, 0.63),
    (0.46, 0.46, 0.49),
    (0.64, 0.57, 0.46),
    (0.83, 0.79, 0.71),
)
_BACKGROUND = (
    (0.93, 0.91, 0.88),
    (0.90, 0.92, 0.94),
    (0.94, 0.94, 0.94),
    (0.93, 0.90, 0.91),
    (0.89, 0.92, 0.89),
)


@dataclass(frozen=True)
class Attributes:
    """A batch of N figures. Lengths are in figure units (`canvas.py`), angles in radians.

    Scalars are (N,), colours (N, 3) sRGB in [0, 1], `pattern` (N, 5) and `neckline` (N, 3) are
    strengths in [0, 1] in the order of `PATTERNS` and `NECKLINES`.
    """

    # geometry
    centre: Tensor
    scale: Tensor
    body_width: Tensor
    waist: Tensor
    arm_angle: Tensor  # (N, 2): person's right (left in the image), left; 0 hangs down
    elbow_angle: Tensor  # (N, 2): bend towards the body
    head_tilt: Tensor
    hair_length: Tensor
    hair_volume: Tensor
    hair_part: Tensor
    smile: Tensor
    brow: Tensor
    sleeve: Tensor  # 0 none, 1 to the wrist
    knit: Tensor  # 0 jersey, 1 sweater
    neckline: Tensor
    fit: Tensor
    skirt: Tensor
    fold_phase: Tensor
    # appearance
    skin: Tensor
    hair: Tensor
    colour: Tensor
    ink: Tensor
    pattern: Tensor
    bottom: Tensor
    background: Tensor
    blush: Tensor

    def __len__(self) -> int:
        return self.centre.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Attributes:
        """A sub-batch, by slice or index tensor."""
        return Attributes(**{k: getattr(self, k)[index] for k in _FIELDS})

    def replace(self, **changes: Tensor) -> Attributes:
        """A copy with some attributes exchanged."""
        return dataclasses.replace(self, **changes)


_FIELDS = tuple(field.name for field in dataclasses.fields(Attributes))
APPEARANCE = ("skin", "hair", "colour", "ink", "pattern", "bottom", "background", "blush")


def mix(geometry: Attributes, appearance: Attributes) -> Attributes:
    """The figures of `geometry` in the colours and patterns of `appearance`."""
    return geometry.replace(**{name: getattr(appearance, name) for name in APPEARANCE})


def normalise_code(z: Tensor) -> Tensor:
    """z over its root mean square, as StyleGAN2's mapping network sees it. (N, CODE_DIM)."""
    return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)


def _uniform(z: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Gaussian -> uniform in [low, high], by the normal distribution function."""
    return low + (high - low) * 0.5 * (1 + torch.erf(z / math.sqrt(2)))


def _ramp(u: Tensor, points: tuple[tuple[float, float], ...]) -> Tensor:
    """Piecewise linear through (u, value) points; constant beyond the ends."""
    value = torch.full_like(u, points[0][1])
    for (u0, v0), (u1, v1) in pairwise(points):
        value = value + ((u - u0) / (u1 - u0)).clamp(0, 1) * (v1 - v0)
    return value


def _palette(u: Tensor, colours: tuple[tuple[float, float, float], ...]) -> Tensor:
    """Walk along a palette: u in [0, 1] (N,) -> (N, 3)."""
    table = u.new_tensor(colours)
    position = (u * (len(colours) - 1)).clamp(0, len(colours) - 1 - 1e-6)
    low = position.floor().long()
    weight = (position - low)[:, None]
    return table[low] * (1 - weight) + table[low + 1] * weight


def _simplex_vertices(dim: int) -> Tensor:
    """The dim + 1 unit vertices of a regular simplex, in rows: (dim + 1, dim)."""
    points = torch.zeros(dim + 1, dim, dtype=torch.float64)
    for i in range(dim):
        points[i, i] = math.sqrt(1 - float(points[i, :i].square().sum()))
        for j in range(i + 1, dim + 1):
            points[j, i] = (-1 / dim - float((points[i, :i] * points[j, :i]).sum())) / float(
                points[i, i]
            )
    return points


def _icosahedron() -> Tensor:
    ring = math.atan(0.5)
    points = [(0.0, 0.0, 1.0)]
    for sign, turn in ((1, 0.0), (-1, math.pi / 5)):
        for k in range(5):
            angle = 2 * math.pi * k / 5 + turn
            points.append(
                (
                    math.cos(ring) * math.cos(angle),
                    math.cos(ring) * math.sin(angle),
                    sign * math.sin(ring),
                )
            )
    points.append((0.0, 0.0, -1.0))
    return torch.tensor(points, dtype=torch.float64)


def _blend(z: Tensor, vertices: Tensor, sharpness: float) -> Tensor:
    """Soft nearest vertex of the direction of z: (N, D) -> (N, V) weights that sum to one."""
    direction = z / z.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return torch.softmax(sharpness * direction @ vertices.to(z), dim=1)


def _strength(weights: Tensor) -> Tensor:
    """Weights -> strengths: zero up to a half, so that only one is ever present, one from 0.72."""
    t = ((weights - 0.5) / 0.22).clamp(0, 1)
    return t * t * (3 - 2 * t)


def attributes_from_code(z: Tensor) -> Attributes:
    """The figures that codes z (N, CODE_DIM) stand for; z is normalised as in the mapping network."""
    z = normalise_code(z)
    column = iter(range(CODE_DIM))

    def take(n: int = 1) -> Tensor:
        columns = [next(column) for _ in range(n)]
        return z[:, columns[0]] if n == 1 else z[:, columns]

    sleeve = _ramp(_uniform(take()), ((0.24, 0.0), (0.31, 0.30), (0.54, 0.42), (0.61, 1.0)))
    knit = _ramp(_uniform(take()), ((0.52, 0.0), (0.62, 1.0))) * ((sleeve - 0.6) / 0.3).clamp(0, 1)
    colour_weights = _blend(take(3), _icosahedron().T, 14.0)
    colour = colour_weights @ z.new_tensor(list(COLOURS.values()))
    lightness = _uniform(take(), -0.045, 0.045)
    colour = (colour + lightness[:, None]).clamp(0.04, 0.97)
    pattern = _strength(_blend(take(4), _simplex_vertices(4).T, 7.0))
    neckline = _strength(_blend(take(2), _simplex_vertices(2).T, 6.0))
    luminance = colour @ colour.new_tensor([0.30, 0.59, 0.11])
    light_garment = ((luminance - 0.60) / 0.10).clamp(0, 1)[:, None]
    dark_ink = colour * 0.16 + colour.new_tensor([0.06, 0.07, 0.15])
    ink = colour.new_tensor([0.96, 0.95, 0.92]) * (1 - light_garment) + dark_ink * light_garment
    return Attributes(
        sleeve=sleeve,
        knit=knit,
        colour=colour,
        ink=ink,
        pattern=pattern,
        neckline=neckline,
        centre=_uniform(take(), 0.497, 0.503),
        scale=_uniform(take(), 0.99, 1.01),
        body_width=_uniform(take(), 0.90, 1.12),
        waist=_uniform(take(), 0.80, 0.96),
        arm_angle=_uniform(take(2), math.radians(7), math.radians(34)),
        elbow_angle=torch.deg2rad(
            _ramp(_uniform(take(2)), ((0.0, -4.0), (0.6, 22.0), (0.8, 50.0), (1.0, 78.0)))
        ),
        head_tilt=_uniform(take(), -0.03, 0.03),
        hair_length=_ramp(_uniform(take()), ((0.0, 0.0), (0.35, 0.08), (0.5, 0.55), (1.0, 1.0))),
        hair_volume=_uniform(take()),
        hair_part=_uniform(take(), -1, 1),
        smile=_uniform(take()),
        brow=_uniform(take()),
        fit=_uniform(take()),
        skirt=_ramp(_uniform(take()), ((0.60, 0.0), (0.72, 1.0))),
        fold_phase=_uniform(take(), 0, 2 * math.pi),
        skin=_palette(_uniform(take()), _SKIN),
        hair=_palette(_uniform(take()), _HAIR),
        bottom=_palette(_uniform(take()), _BOTTOM),
        background=_palette(_uniform(take()), _BACKGROUND),
        blush=_uniform(take()),
    )


def sample_codes(n: int, generator: torch.Generator) -> Tensor:
    """n Gaussian codes, (n, CODE_DIM)."""
    return torch.randn(n, CODE_DIM, generator=generator)


def sample_attributes(n: int, generator: torch.Generator) -> Attributes:
    """n figures drawn at random."""
    return attributes_from_code(sample_codes(n, generator))


def sleeve_class(attributes: Attributes) -> Tensor:
    """Index into SLEEVES, -1 where the length lies between two classes. (N,) int64."""
    s = attributes.sleeve
    result = torch.full_like(s, -1, dtype=torch.long)
    result[s < 0.06] = 0
    result[(s > 0.27) & (s < 0.45)] = 1
    result[s > 0.92] = 2
    return result


def pattern_class(attributes: Attributes) -> Tensor:
    """Index into PATTERNS, -1 where the pattern is only half there. (N,) int64."""
    strengths = attributes.pattern[:, 1:]
    strongest, index = strengths.max(1)
    result = torch.full_like(index, -1)
    result[strongest < 0.08] = 0
    return torch.where(strongest > 0.75, index + 1, result)


def neckline_class(attributes: Attributes) -> Tensor:
    """Index into NECKLINES, -1 where it is undecided. (N,) int64."""
    strongest, index = attributes.neckline.max(1)
    return torch.where(strongest > 0.75, index, torch.full_like(index, -1))
