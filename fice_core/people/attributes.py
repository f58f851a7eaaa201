"""Who a code stands for: body, look, hair, pose, garments, light and camera, each a smooth function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .anny_model import YOUNGEST
from .code import Reader, normalised, ramp, slices, spread_directions, strength
from .colours import BOTTOM, DENIM, HAIR, IRIS, SKIN, WALL, garment_colour, ink_for, palette
from .maths import Array

PATTERNS = ("plain", "stripes", "pinstripes", "dots", "checks", "floral", "print", "melange")
NECKLINES = ("crew", "v", "scoop", "collar")
#: finger bend of natural hands: thumb, index, middle, ring, little (1 is a fist), and spread
HANDS = (
    (0.18, 0.22, 0.28, 0.32, 0.36, 0.15),  # at rest
    (0.25, 0.42, 0.50, 0.55, 0.60, 0.05),  # loosely closed
    (0.10, 0.10, 0.13, 0.16, 0.20, 0.25),  # long
    (0.35, 0.60, 0.68, 0.72, 0.75, 0.00),  # half a fist
    (0.15, 0.12, 0.30, 0.42, 0.50, 0.20),  # index out
    (0.40, 0.30, 0.34, 0.38, 0.42, 0.00),  # thumb in
    (0.05, 0.30, 0.30, 0.34, 0.44, 0.45),  # open
    (0.22, 0.28, 0.40, 0.38, 0.26, 0.30),  # uneven
    (0.30, 0.78, 0.82, 0.84, 0.86, 0.00),  # closed
)
#: changes of the face's shape that the face component drives, with the size of one step
FACE_CHANGES: Mapping[str, float] = {
    "chin-height-incr": 0.30, "chin-width-incr": 0.35, "chin-prominent-incr": 0.25,
    "chin-jaw-drop-incr": 0.25, "cheek-bones-incr": 0.35, "cheek-volume-incr": 0.35,
    "forehead-temple-incr": 0.3, "forehead-scale-vert-incr": 0.25, "head-fat-incr": 0.30,
    "head-scale-horiz-incr": 0.22, "head-scale-vert-incr": 0.16, "mouth-scale-horiz-incr": 0.30,
    "mouth-lowerlip-volume-incr": 0.30, "mouth-upperlip-volume-incr": 0.30, "mouth-trans-up": 0.2,
    "nose-scale-vert-incr": 0.25, "nose-width1-incr": 0.30, "nose-width3-incr": 0.30,
    "nose-point-up": 0.25, "nose-hump-incr": 0.25, "nose-volume-incr": 0.25, "eye-scale-incr": 0.20,
    "eye-height2-incr": 0.22, "eye-trans-out": 0.20, "eyebrows-trans-up": 0.3,
}  # fmt: skip
PAIRED = ("cheek-", "eye-", "ear-")


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


def person_from_code(code: Array) -> Person:
    """The person that a code (CODE_DIM,) stands for; the code is normalised as the mapping network does."""
    code = normalised(code)
    body = _body(code)
    top, top_texture = _top(code, body.feminine)
    bottom, bottom_texture = _bottom(code, body.feminine, top, top_texture)
    return Person(
        body=body,
        look=_look(code, body),
        hair=_hair(code, body),
        pose=_pose(code, body.feminine),
        top=top,
        bottom=bottom,
        top_texture=top_texture,
        bottom_texture=bottom_texture,
        studio=_studio(code),
    )


def _body(code: Array) -> Body:
    r = Reader.of(code, "body")
    gender = r.ramp((0.36, 0.03), (0.42, 0.97))
    phenotype = {
        "gender": gender,
        "weight": r.ramp((0.0, 0.28), (0.1, 0.38), (0.8, 0.55), (1.0, 0.85)),
        "muscle": r.uniform(0.38, 0.68),
        "height": r.uniform(0.42, 0.62),
        "proportions": r.uniform(0.55, 0.95),
        "cupsize": r.uniform(0.25, 0.6),
        "firmness": r.uniform(0.5, 0.9),
        "age": Reader.of(code, "age").ramp((0.0, YOUNGEST), (0.75, 0.80), (1.0, 0.93)),
    }
    changes = {"torso-scale-horiz-incr": 0.25 * max(min(r.normal(), 2.0), -2.0)}
    african, asian, caucasian = _ancestry(code)
    phenotype |= {"african": african, "asian": asian, "caucasian": caucasian}
    f = Reader.of(code, "face")
    for name, step in FACE_CHANGES.items():
        value = step * float(np.tanh(f.normal() * 0.7) * 1.3)
        sides = ("l-", "r-") if name.startswith(PAIRED) else ("",)
        changes |= {side + name: value for side in sides}
    e = Reader.of(code, "expression")
    smile = e.ramp((0.0, 0.15), (0.5, 0.45), (1.0, 0.9))
    lids = e.uniform(0.0, 0.08)
    brows = e.uniform(-0.15, 0.2)
    actions = {"browInnerUp": max(brows, 0.0), "jawOpen": 0.0}
    for side in ("Left", "Right"):
        actions |= {
            f"mouthSmile{side}": smile,
            f"cheekSquint{side}": 0.3 * smile,
            f"eyeSquint{side}": 0.05 + 0.2 * smile,
            f"eyeBlink{side}": lids,
            f"browDown{side}": max(-brows, 0.0),
            f"mouthPress{side}": 0.15,
        }
    return Body(phenotype, changes, actions)


def _ancestry(code: Array) -> Array:
    r = Reader.of(code, "ancestry")
    logits = 1.6 * np.array([r.normal(), r.normal(), r.normal() + 0.25])
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum())


def _look(code: Array, body: Body) -> Look:
    african, asian, _ = _ancestry(code)
    r = Reader.of(code, "skin")
    darkness = float(np.clip(african * 0.80 + asian * 0.20 + 0.10 + 0.09 * r.normal(), 0, 1))
    undertone = np.array([1.0, 1.0, 1.0]) + 0.03 * r.normal() * np.array([0.3, 0.1, -1.0])
    skin = np.clip(palette(darkness, SKIN) * undertone, 0, 0.95)
    feminine, age = body.feminine, body.phenotype["age"]
    f = Reader.of(code, "face")
    for _ in FACE_CHANGES:
        f.normal()
    makeup = f.ramp((0.2, 0.1), (0.9, 1.0)) * feminine
    lip_hue = f.uniform()
    paint = f.ramp((0.62, 0.0), (0.75, 0.75), (1.0, 0.95)) * feminine
    stubble = f.ramp((0.35, 0.0), (0.6, 0.35), (0.85, 0.5), (1.0, 1.0)) * (1 - feminine) ** 2
    iris = ramp(f.uniform(), ((0.0, 0.0), (0.5, 0.35), (1.0, 1.0))) * (1 - darkness) ** 1.5
    e = Reader.of(code, "expression")
    for _ in range(3):
        e.normal()
    return Look(
        skin=skin,
        darkness=darkness,
        redness=r.uniform(0.2, 0.9),
        blush=0.25 + 0.5 * makeup,
        makeup=makeup,
        lips=palette(lip_hue, ((0.60, 0.20, 0.22), (0.66, 0.32, 0.33), (0.55, 0.16, 0.24))),
        lip_paint=paint,
        stubble=stubble,
        brow=1.0 + 0.45 * (1 - feminine),
        brow_height=0.0,
        lines=float(np.clip((age - 0.74) / 0.19, 0, 1)),
        freckles=float(np.clip(1 - darkness * 3, 0, 1)) * 0.5,
        iris=palette(iris, IRIS),
        gaze=(0.04 * e.normal(), 0.0),
    )


def _hair(code: Array, body: Body) -> Hair:
    african, asian, caucasian = _ancestry(code)
    g = body.feminine
    r = Reader.of(code, "hair")
    u = r.uniform()
    his = ramp(u, ((0.0, 0.008), (0.25, 0.016), (0.85, 0.065), (0.93, 0.10), (1.0, 0.24)))
    hers = ramp(
        u, ((0.0, 0.05), (0.1, 0.10), (0.18, 0.18), (0.45, 0.26), (0.55, 0.34), (1.0, 0.50))
    )
    curl_u = r.uniform() + 0.9 * african - 0.45 * asian
    light = r.ramp((0.0, 0.0), (0.35, 0.35), (1.0, 1.0)) * (0.04 + 0.96 * caucasian**1.2)
    grey = float(np.clip((body.phenotype["age"] - 0.80) / 0.12, 0, 1)) * 0.8
    colour = palette(light, HAIR) * (1 - grey) + np.array([0.60, 0.59, 0.58]) * grey
    red = r.uniform(-0.3, 1.0)
    colour = colour * (1 + max(red, 0) * 0.25 * light * np.array([0.6, -0.15, -0.6]))
    return Hair(
        length=his * (1 - g) + hers * g,
        volume=r.uniform(),
        wave=r.ramp((0.25, 0.0), (1.0, 1.0)),
        curl=ramp(curl_u, ((1.05, 0.0), (1.25, 1.0))),
        tied=r.ramp((0.78, 0.0), (0.84, 1.0)) * g,
        part=r.ramp((0.0, -0.03), (0.35, -0.015), (0.65, 0.015), (1.0, 0.03)),
        sweep=r.uniform(-1, 1),
        fringe=r.ramp((0.80, 0.0), (0.9, 1.0)),
        tuck=r.uniform(),
        colour=colour,
    )


def _pose(code: Array, feminine: float) -> Pose:
    r = Reader.of(code, "pose")
    turn = Reader.of(code, "turn").uniform(-0.42, 0.42)
    behind = 0.06
    arms = tuple(
        r.ramp((behind, -1.0), (behind + 0.06, 0.0), (0.72, 0.12), (0.79, 1.0)) for _ in range(2)
    )
    h = Reader.of(code, "hands")
    hands = []
    for _ in range(2):
        weights = _hand_weights(h)
        hands.append(weights @ np.array(HANDS))
    return Pose(
        turn=turn,
        twist=r.uniform(-0.10, 0.10) - 0.15 * turn,
        lean=r.uniform(-0.04, 0.04),
        bow=r.uniform(-0.02, 0.03),
        sway=r.uniform(-0.05, 0.05) * (0.5 + 0.7 * feminine),
        shrug=0.0,
        stance=r.uniform(0.0, 0.05),
        head=(r.uniform(-0.20, 0.20) - 0.45 * turn, r.uniform(-0.07, 0.07), r.uniform(-0.04, 0.06)),
        arm=(arms[0], arms[1]),
        spread=r.pair(0.06, 0.20),
        flex=(0.06, 0.06),
        reach=r.pair(0.93, 0.99),
        hands=(hands[0], hands[1]),
    )


def _hand_weights(h: Reader) -> Array:
    """Weights of the natural hands from four numbers: a walk among them."""
    z = np.array([h.normal() for _ in range(4)])
    rng = np.random.default_rng(5)
    logits = 2.2 * rng.standard_normal((len(HANDS), 4)) @ z
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum())


def _top(code: Array, feminine: float) -> tuple[Top, Texture]:
    a = 0.05 + 0.17 * feminine
    sleeve = Reader.of(code, "sleeve").ramp(
        (a, 0.0), (a + 0.035, 0.16), (a + 0.30, 0.42), (a + 0.33, 0.62), (a + 0.38, 0.70),
        (a + 0.41, 0.94), (1.0, 0.985),
    )  # fmt: skip
    n = Reader.of(code, "neckline")
    neckline = n.kinds(4, 6.0, bias=(0.3 - 0.2 * feminine, 0.0, 1.1 * feminine - 1.0, 0.2))
    depth_u, closure_u = n.uniform(), n.uniform()
    covered = float(np.clip((sleeve - 0.06) / 0.1, 0, 1))
    collar = strength(float(neckline[3]), 0.45, 0.7) * covered
    closure = collar * ramp(closure_u, ((0.22, 0.45), (0.30, 1.0)))
    long = float(np.clip((sleeve - 0.55) / 0.3, 0, 1))
    c = Reader.of(code, "cut")
    dress = c.ramp((0.74, 0.0), (0.80, 1.0)) * float(np.clip(feminine * 2 - 1, 0, 1))
    dress *= 1 - 0.98 * min(closure * 2, 1)
    fit, hem, waist, hood_u = c.uniform(), c.uniform(), c.uniform(), c.uniform()
    f = Reader.of(code, "fabric")
    knit = f.ramp((0.50, 0.0), (0.58, 1.0)) * long * (1 - collar) * (1 - dress)
    gloss = f.ramp((0.88, 0.0), (0.96, 1.0)) * (1 - knit) * (0.3 + 0.7 * feminine)
    weight = f.uniform()
    hood = (
        ramp(hood_u, ((0.55, 0.0), (0.63, 1.0))) * knit * float(np.clip(neckline[0] * 3 - 1, 0, 1))
    )
    slim = 0.012 * (1 - fit) + 0.030 * fit
    ease = slim * (1 - 0.55 * dress) * (1 - 0.35 * gloss) + 0.010 * knit + 0.003 * collar
    ease *= 0.6 + 0.4 * covered
    shape = np.array(
        [0.012 + 0.010 * depth_u, 0.055 + 0.065 * depth_u, 0.03 + 0.055 * depth_u, 0.06]
    )
    folds = code[slices()["folds"]]
    top = Top(
        sleeve=sleeve,
        neckline=neckline,
        depth=float(neckline @ shape),
        width=float(neckline @ np.array([0.003, 0.004, 0.022, -0.004])) + 0.01 * (1 - covered),
        collar=collar,
        closure=closure,
        ease=ease,
        hem=0.075 - 0.11 * hem,
        waist=waist * (0.25 + 0.75 * feminine) * (1 - 0.8 * knit),
        knit=knit,
        hood=hood,
        dress=dress,
        sheen=0.15 + 0.5 * knit,
        gloss=gloss,
        weight=weight,
        folds=folds,
    )
    return top, _top_texture(code, top)


def _top_texture(code: Array, top: Top) -> Texture:
    c = Reader.of(code, "colour")
    colour = garment_colour(np.array([c.normal(), c.normal(), c.normal()]))
    colour = np.clip(colour + 0.045 * np.tanh(c.normal()), 0.03, 0.95)
    p = Reader.of(code, "pattern")
    plain = p.ramp((0.42, 0.0), (0.52, 1.0))
    weights = np.array([p.normal() for _ in range(3)])
    motif, size = p.uniform(), p.uniform(0.75, 1.45)
    direction = weights / max(float(np.linalg.norm(weights)), 1e-6)
    anchors = spread_directions(len(PATTERNS) - 1)
    logits = 12.0 * anchors @ direction
    share = np.exp(logits - logits.max())
    share /= share.sum()
    present = np.array([strength(float(s), 0.45, 0.65) for s in share]) * plain
    # prints sit on plain fronts, fine patterns on cloth
    present[PATTERNS.index("print") - 1] *= 1 - max(top.closure, top.dress)
    return Texture(
        colour=colour,
        ink=ink_for(colour, p.uniform()),
        pattern=np.concatenate([[0.0], present]),
        scale=size,
        phase=np.array([0.0, 0.03 * p.normal()]),
        motif=motif,
        heather=0.5 * top.knit,
    )


def _bottom(code: Array, feminine: float, top: Top, texture: Texture) -> tuple[Bottom, Texture]:
    r = Reader.of(code, "lower")
    skirt_u = r.uniform() * feminine
    skirt = max(ramp(skirt_u, ((0.70, 0.0), (0.74, 1.0))), top.dress)
    legs = min(1 - ramp(skirt_u, ((0.74, 0.0), (0.78, 1.0))), max(1 - 2 * top.dress, 0.0))
    denim = r.ramp((0.52, 0.0), (0.58, 1.0)) * (1 - skirt)
    cloth = palette(r.uniform(), BOTTOM)
    jeans = palette(r.uniform(), DENIM)
    bottom = Bottom(
        skirt=skirt,
        legs=legs,
        ease=r.uniform(0.004, 0.014),
        flare=r.uniform(0.05, 0.55),
        denim=denim,
    )
    colour = cloth * (1 - denim) + jeans * denim
    d = top.dress
    return bottom, Texture(
        colour=colour * (1 - d) + texture.colour * d,
        ink=np.clip(colour * 1.5 + 0.10, 0, 0.9) * (1 - d) + texture.ink * d,
        pattern=texture.pattern * d,
        scale=texture.scale,
        phase=texture.phase,
        motif=texture.motif,
        denim=denim,
        heather=0.15,
    )


def _studio(code: Array) -> Studio:
    r = Reader.of(code, "light")
    c = Reader.of(code, "camera")
    w = Reader.of(code, "wall")
    tint = np.array([w.normal(), w.normal()]) * 0.006
    wall = palette(w.uniform(), WALL) + np.array([tint[0], 0.0, tint[1]])
    return Studio(
        azimuth=r.uniform(-1.0, 1.0),
        key=r.uniform(0.85, 1.15),
        fill=r.uniform(0.6, 1.5),
        softness=r.uniform(0.7, 1.5),
        warmth=r.uniform(-0.05, 0.05),
        shift=(c.uniform(-0.03, 0.03), c.uniform(-0.015, 0.015)),
        tilt=c.uniform(-0.05, 0.10),
        low=c.uniform(-0.02, 0.26),
        wall=np.clip(wall, 0, 0.96),
    )
