"""What is known of a person before anything is built: body, look, hair, pose, garments, studio."""

from __future__ import annotations

from dataclasses import dataclass

from .maths import Array

PATTERNS = ("plain", "stripes", "pinstripes", "dots", "checks", "floral", "print", "melange")
NECKLINES = ("crew", "v", "scoop", "collar")


@dataclass(frozen=True)
class Body:
    """What anny is asked for: phenotype in [0, 1], local changes and facial actions by their names."""

    phenotype: dict[str, float]
    changes: dict[str, float]
    actions: dict[str, float]

    @property
    def feminine(self) -> float:
        """The phenotype's gender: 0 male, 1 female."""
        return self.phenotype["gender"]


@dataclass(frozen=True)
class Look:
    """Surface of skin and face: sRGB colours; strengths in [0, 1]; gaze in radians (left, up)."""

    skin: Array
    darkness: float
    redness: float
    blush: float
    makeup: float
    lips: Array
    lip_paint: float
    stubble: float
    brow: float
    brow_height: float
    lines: float
    freckles: float
    iris: Array
    gaze: tuple[float, float]


@dataclass(frozen=True)
class Hair:
    """Hair: lengths in metres, `curl` 0 straight to 1 coils, `tied` 0 loose to 1 drawn back."""

    length: float
    volume: float
    wave: float
    curl: float
    tied: float
    part: float
    sweep: float
    fringe: float
    tuck: float
    colour: Array


@dataclass(frozen=True)
class Pose:
    """Angles in radians; pairs are (left, right). `arm` is -1 behind the back, 0 hanging, 1 on the hip."""

    turn: float
    twist: float
    lean: float
    bow: float
    sway: float
    shrug: float
    stance: float
    head: tuple[float, float, float]
    arm: tuple[float, float]
    spread: tuple[float, float]
    flex: tuple[float, float]
    reach: tuple[float, float]
    hands: tuple[Array, Array]


@dataclass(frozen=True)
class Top:
    """Geometry of the upper garment, metres. `sleeve` runs along the arm, 0 none to 1 the wrist.

    `neckline` (4,) are weights in the order of `NECKLINES`; `closure` is 0 for a pullover, near 0.5 a polo's
    placket, 1 a shirt buttoned all the way; `dress` 1 where top and skirt are one garment.
    """

    sleeve: float
    neckline: Array
    depth: float
    width: float
    collar: float
    closure: float
    ease: float
    hem: float
    waist: float
    knit: float
    hood: float
    dress: float
    sheen: float
    gloss: float
    weight: float
    folds: Array


@dataclass(frozen=True)
class Bottom:
    """Geometry of the lower garment: `skirt` and `legs` 0 absent to 1 full length, metres of ease."""

    skirt: float
    legs: float
    ease: float
    flare: float
    denim: float


@dataclass(frozen=True)
class Texture:
    """Colour and pattern of one garment. `pattern` (8,) are strengths in the order of `PATTERNS`, the first
    unused; `scale` multiplies the pattern's size, `phase` (2,) moves it in metres, `motif` in [0, 1)."""

    colour: Array
    ink: Array
    pattern: Array
    scale: float
    phase: Array
    motif: float
    denim: float = 0.0
    heather: float = 0.0


@dataclass(frozen=True)
class Studio:
    """Light and camera. `azimuth` of the key light in radians, strengths relative, lengths in metres."""

    azimuth: float
    key: float
    fill: float
    softness: float
    warmth: float
    shift: tuple[float, float]
    tilt: float
    low: float
    wall: Array


@dataclass(frozen=True)
class Person:
    """All there is to render: see the parts."""

    body: Body
    look: Look
    hair: Hair
    pose: Pose
    top: Top
    bottom: Bottom
    top_texture: Texture
    bottom_texture: Texture
    studio: Studio
