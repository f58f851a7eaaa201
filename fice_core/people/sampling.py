"""Who a code stands for: body, look, hair, pose, light and camera, each a smooth function of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .anny_model import YOUNGEST
from .attributes import Body, Hair, Look, Person, Pose, Studio
from .code import Reader, normalised, ramp
from .colours import HAIR, IRIS, SKIN, WALL, palette
from .maths import Array
from .sampling_clothes import bottom_from_code, top_from_code

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


def person_from_code(code: Array) -> Person:
    """The person that a code (CODE_DIM,) stands for; the code is normalised as the mapping network does."""
    code = normalised(code)
    body = _body(code)
    top, top_texture = top_from_code(code, body.feminine)
    bottom, bottom_texture = bottom_from_code(code, body.feminine, top, top_texture)
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
        r.ramp((behind, -1.0), (behind + 0.06, 0.0), (0.76, 0.12), (0.83, 1.0)) for _ in range(2)
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
