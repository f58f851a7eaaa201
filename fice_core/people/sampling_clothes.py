"""The clothes that a code stands for, as smooth functions of it."""

from __future__ import annotations

import numpy as np

from .attributes import PATTERNS, Bottom, Texture, Top
from .code import Reader, ramp, slices, spread_directions, strength
from .colours import BOTTOM, DENIM, garment_colour, ink_for, palette
from .maths import Array


def top_from_code(code: Array, feminine: float) -> tuple[Top, Texture]:
    """The upper garment and its texture."""
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


def bottom_from_code(
    code: Array, feminine: float, top: Top, texture: Texture
) -> tuple[Bottom, Texture]:
    """The lower garment and its texture; in a dress it has the texture of the upper one."""
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
