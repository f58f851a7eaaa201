"""Draws demonstration figures with known ground truth.

A figure stands before a light wall, cut at the thighs, as in the upper-body fashion photographs that
the method was made for. The renderer knows what a network would have to guess: the DensePose label of
every pixel, the regions, the garment, and where along each arm the sleeve ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.densepose import UPPER_BODY_LABELS
from .attributes import Attributes
from .canvas import Canvas, bump, column, knots

#: DensePose labels (0 background, 1..24) used here; the person's right side is left in the image.
TORSO, RIGHT_HAND, LEFT_HAND = 2, 3, 4
RIGHT_LEG, LEFT_LEG = 9, 10
UPPER_ARM = {"left": (15, 17), "right": (16, 18)}
LOWER_ARM = {"left": (19, 21), "right": (20, 22)}
RIGHT_HEAD, LEFT_HEAD = 23, 24
#: the 14 of them that the method compares, in its channel order

HEM = 0.735
SHOULDER_Y = 0.315


@dataclass(frozen=True)
class Rendering:
    """`images` (N, 3, S, S) in [0, 1]; `labels` (N, S, S) int64 DensePose labels; the soft regions
    `background`, `body`, `head` and the `garment` mask, each (N, 1, S, S) in [0, 1]."""

    images: Tensor
    labels: Tensor
    background: Tensor
    body: Tensor
    head: Tensor
    garment: Tensor

    def parts(self, size: int = 112) -> Tensor:
        """The part map as DensePose would give it: (N, 14, size, size), area-averaged."""
        one_hot = torch.stack([self.labels == label for label in UPPER_BODY_LABELS], 1).float()
        return F.interpolate(one_hot, size=(size, size), mode="area")


@dataclass(frozen=True)
class Arm:
    """Joints of one arm, each a pair (x, y) of (N,) tensors, in figure units."""

    shoulder: tuple[Tensor, Tensor]
    elbow: tuple[Tensor, Tensor]
    wrist: tuple[Tensor, Tensor]


def arm(attributes: Attributes, side: str) -> Arm:
    """Where the joints of the `left` or `right` arm are (the person's left is right in the image)."""
    a = attributes
    i, sign = (0, -1.0) if side == "right" else (1, 1.0)
    k = a.scale
    sx = a.centre + sign * 0.112 * a.body_width * k
    sy = torch.full_like(sx, SHOULDER_Y + 0.034)
    upper, lower = 0.178 * k, 0.165 * k
    ex = sx + sign * torch.sin(a.arm_angle[:, i]) * upper
    ey = sy + torch.cos(a.arm_angle[:, i]) * upper
    turn = a.arm_angle[:, i] - a.elbow_angle[:, i]
    return Arm(
        (sx, sy), (ex, ey), (ex + sign * torch.sin(turn) * lower, ey + torch.cos(turn) * lower)
    )


def render(attributes: Attributes, size: int = 128) -> Rendering:
    """Draw the figures at size x size pixels."""
    return _Figure(attributes, size).draw()


def _oval(x: Tensor, y: Tensor, rx: float, ry: float) -> Tensor:
    """Signed distance to an ellipse around the origin, first-order accurate at the edge."""
    level = ((x / rx) ** 2 + (y / ry) ** 2).clamp_min(1e-9).sqrt()
    slope = ((x / rx**2) ** 2 + (y / ry**2) ** 2).clamp_min(1e-9).sqrt() / level
    return (1 - level) / slope


def pattern_maps(attributes: Attributes, size: int = 128) -> Tensor:
    """Where each pattern has ink on the torso: (N, 4, S, S) in [0, 1], stripes, dots, checks, print."""
    figure = _Figure(attributes, size)
    woven = figure._patterns(figure.canvas.y - SHOULDER_Y, figure.dx)
    return torch.stack([*woven, figure._print()], 1)


class _Figure:
    def __init__(self, attributes: Attributes, size: int) -> None:
        self.a = attributes
        self.canvas = Canvas(len(attributes), size, attributes.background)
        c = self.canvas
        c.masks = {
            name: torch.zeros(len(attributes), size, size) for name in ("body", "head", "garment")
        }
        self.cx = column(attributes.centre)
        self.dx = (c.x - self.cx) / column(attributes.scale)
        self.head_x = attributes.centre + 0.045 * attributes.head_tilt
        self.head_y = 0.152
        self.knit = column(attributes.knit)

    def draw(self) -> Rendering:
        c = self.canvas
        self._wall()
        self._back_hair()
        self._legs()
        self._torso()
        self._garment()
        for side in ("right", "left"):
            self._arm(side)
        self._collar()
        self._head()
        body = (c.masks["body"] + c.masks["garment"]).clamp(0, 1)[:, None]
        head = torch.minimum(c.masks["head"][:, None], 1 - body)
        return Rendering(
            c.rgb.clamp(0, 1), c.labels, 1 - body - head, body, head, c.masks["garment"][:, None]
        )

    # -- scenery ----------------------------------------------------------------------------------
    def _wall(self) -> None:
        c = self.canvas
        glow = 1.035 - 0.16 * ((c.x - 0.42) ** 2 + 0.7 * (c.y - 0.35) ** 2)
        c.rgb = c.rgb * glow[:, None]
        shadow = c.soft(c.ellipse(self.a.centre + 0.05, 0.66, 0.20 * self.a.body_width, 0.46), 0.34)
        c.darken(0.10 * shadow)

    # -- body -------------------------------------------------------------------------------------
    def _half_width(self, ease: Tensor | float) -> Tensor:
        """Half the torso's width at every y."""
        w = self.a.body_width
        return knots(
            self.canvas.y,
            [
                (0.24, 0.052 * w),
                (SHOULDER_Y + 0.015, 0.142 * w),
                (0.40, 0.126 * w),
                (0.55, 0.128 * w * self.a.waist),
                (0.70, 0.138 * w),
                (0.80, 0.141 * w),
            ],
        ) + column(ease)

    def _torso_distance(self, ease: Tensor | float) -> Tensor:
        return self._half_width(ease) - self.dx.abs()

    def _round(self, half: Tensor) -> Tensor:
        """Lambert-like shading of an upright round body lit from the upper left."""
        u = (self.dx / half.clamp_min(1e-3)).clamp(-1, 1)
        return 1.04 - 0.17 * u * u - 0.07 * u

    def _torso(self) -> None:
        c, a = self.canvas, self.a
        half = self._half_width(0.0)
        neck = torch.minimum(0.046 * column(a.scale) - self.dx.abs(), c.y - 0.17)
        body = torch.minimum(torch.maximum(self._torso_distance(0.0), neck), 0.715 - c.y)
        body = torch.minimum(body, c.y - 0.17)
        shade = self._round(half)
        c.paint(c.coverage(body), a.skin, shade, TORSO, "body")
        chin = c.soft(c.ellipse(self.head_x, self.head_y + 0.055, 0.082, 0.085), 0.05)
        c.darken(0.20 * chin * c.coverage(neck))
        collarbone = bump(c.y, 0.292, 0.006) * bump(self.dx.abs(), 0.05, 0.028)
        c.darken(0.10 * collarbone)

    def _legs(self) -> None:
        c, a = self.canvas, self.a
        w = a.body_width
        flare = column(a.skirt)
        outer = knots(c.y, [(0.66, 0.132 * w), (0.78, 0.150 * w), (1.0, 0.150 * w)])
        outer = outer + flare * (c.y - 0.70).clamp_min(0) * 0.16
        gap = ((c.y - 0.86) * 0.13 * (1 - flare) - 0.012 * flare).clamp_min(-0.01)
        legs = torch.minimum(torch.minimum(outer - self.dx.abs(), c.y - 0.67), self.dx.abs() - gap)
        u = self.dx.abs() / outer
        trousers = 1.0 - 0.26 * (2 * u - 1).clamp(-1, 1) ** 2 * (1 - flare)
        pleats = 0.05 * flare * torch.sin(self.dx / outer * 15) * ((c.y - 0.72) / 0.2).clamp(0, 1)
        shade = trousers * (1.02 - 0.06 * self.dx / 0.15) + pleats
        side = torch.where(
            self.dx < 0, torch.full_like(c.labels, RIGHT_LEG), torch.full_like(c.labels, LEFT_LEG)
        )
        c.paint(c.coverage(legs), a.bottom, shade, side, "body")
        fly = (
            bump(self.dx, 0.0, 0.004)
            * (1 - flare)
            * c.coverage(c.y - 0.74)
            * c.coverage(0.88 - c.y)
        )
        c.darken(0.16 * fly)

    # -- garment ----------------------------------------------------------------------------------
    def _neckline(self) -> tuple[Tensor, Tensor]:
        """Signed distance below the neckline, and its half width."""
        c, a = self.canvas, self.a
        v = column(a.neckline[:, 1])
        tank = (1 - column(a.sleeve) / 0.25).clamp(0, 1)
        opening = 0.060 + 0.010 * tank - 0.006 * self.knit
        depth = 0.040 + 0.080 * v + 0.016 * tank
        u = (self.dx.abs() / opening).clamp(0, 1.5)
        curve = (1 - v) * (1 - u * u) + v * (1 - u)
        slope = (1 + (depth / opening * 0.8) ** 2) ** 0.5
        return (c.y - (0.262 + depth * curve)) / slope, opening

    def _garment_alpha(self) -> Tensor:
        c, a = self.canvas, self.a
        ease = 0.006 + 0.012 * column(a.fit) + 0.006 * self.knit
        # ease widens the body below the armpits, not the shoulders
        body = self._half_width(0.0) + ease * ((c.y - 0.33) / 0.16).clamp(0, 1) - self.dx.abs()
        hem = HEM + 0.010 * self.knit - c.y + 0.006 * (1 - (self.dx / 0.13) ** 2)
        # without sleeves the armhole cuts the shoulder down to a strap
        tank = (1 - column(a.sleeve) / 0.25).clamp(0, 1)
        armhole = knots(c.y, [(0.27, 0.094), (0.345, 0.088), (0.41, 0.16)]) * column(a.body_width)
        armhole = armhole + (1 - tank) * 0.2 - self.dx.abs()
        neckline, _ = self._neckline()
        return torch.minimum(torch.minimum(body, hem), torch.minimum(neckline, armhole))

    def _figure_cloth(self, along: Tensor, across: Tensor) -> Tensor:
        """The cloth's colour at its own coordinates (heights): (N, 3, H, W)."""
        a = self.a
        base = a.colour[:, :, None, None]
        woven = torch.stack(self._patterns(along, across), 1)
        strength = (a.pattern[:, 1:4, None, None] * woven).sum(1)
        return base + (a.ink[:, :, None, None] - base) * strength[:, None] * 0.92

    def _patterns(self, along: Tensor, across: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where stripes, dots and checks have ink, each (N, H, W) in [0, 1]."""
        stripes = self.canvas.soft(0.021 - (torch.remainder(along, 0.076) - 0.038).abs(), 0.012)
        row = torch.floor(along / 0.066)
        shifted = across + 0.033 * torch.remainder(row, 2)
        dot_x = torch.remainder(shifted, 0.066) - 0.033
        dot_y = torch.remainder(along, 0.066) - 0.033
        dots = self.canvas.soft(0.0185 - (dot_x**2 + dot_y**2).clamp_min(1e-9).sqrt(), 0.010)
        line_x = self.canvas.soft(
            0.017 - (torch.remainder(across + 0.035, 0.070) - 0.035).abs(), 0.010
        )
        line_y = self.canvas.soft(0.017 - (torch.remainder(along, 0.070) - 0.035).abs(), 0.010)
        return stripes, dots, 0.5 * (line_x + line_y)

    def _folds(self) -> Tensor:
        c, a = self.canvas, self.a
        phase = column(a.fold_phase)
        drape = torch.sin((c.y * 26 + self.dx.abs() * 30) + phase) * ((c.y - 0.44) / 0.2).clamp(
            0, 1
        )
        side = (self.dx.abs() / 0.13).clamp(0, 1) ** 2
        pull = bump(c.y - 0.36 + self.dx.abs() * 0.3, 0.0, 0.02) * side
        return (0.030 * drape * side + 0.07 * pull) * (1 - 0.5 * self.knit)

    def _garment(self) -> None:
        c, a = self.canvas, self.a
        distance = self._garment_alpha()
        alpha = c.coverage(distance)
        c.darken(0.20 * c.soft(distance + 0.012, 0.030) * (1 - alpha) * c.masks["body"])
        cloth = self._figure_cloth(c.y - SHOULDER_Y, self.dx)
        cloth = cloth + column(a.pattern[:, 4])[:, None] * self._print()[:, None] * (
            a.ink[:, :, None, None] - cloth
        )
        knit = self.knit * (0.05 * torch.sin(self.dx * 240) * bump(c.y, HEM, 0.022))
        shade = self._round(self._half_width(0.016)) - self._folds() + knit
        c.paint(alpha, cloth, shade, TORSO, "garment")
        # trim: the neck band and the hem
        neckline, opening = self._neckline()
        band = c.soft(0.009 + 0.006 * self.knit - (neckline - 0.007).abs(), 0.006)
        band = band * c.coverage(opening - self.dx.abs()) * alpha
        c.darken(0.16 * band)
        rib = bump(c.y, HEM - 0.016 - 0.012 * self.knit, 0.004) * alpha
        c.darken((0.10 + 0.08 * self.knit) * rib)

    def _print(self) -> Tensor:
        """A rising sun over waves on the chest."""
        c = self.canvas
        y = c.y - 0.455
        sun = c.soft(0.050 - (self.dx**2 + y**2).clamp_min(1e-9).sqrt(), 0.008)
        sky = c.coverage(0.012 - y)
        bars = c.soft(0.0065 - (torch.remainder(y - 0.022, 0.0262) - 0.0131).abs(), 0.006)
        below = c.coverage(y - 0.018) * c.coverage(0.088 - y) * c.coverage(0.062 - self.dx.abs())
        return torch.maximum(sun * sky, bars * below)

    def _arm(self, side: str) -> None:
        c, a = self.canvas, self.a
        joints = arm(a, side)
        k = column(a.scale)
        sign = -1.0 if side == "right" else 1.0
        t1, across1, _ = c.segment(joints.shoulder, joints.elbow)
        t2, across2, d2 = c.segment(joints.elbow, joints.wrist)
        _, _, d1 = c.segment(joints.shoulder, joints.elbow)
        r1 = (0.0365 - 0.0075 * t1.clamp(0, 1)) * k
        r2 = (0.0290 - 0.0085 * t2.clamp(0, 1)) * k
        upper, lower = r1 - d1, r2 - d2
        skin_arm = torch.maximum(upper, lower)
        on_lower = lower > upper
        across = torch.where(on_lower, across2, across1)
        radius = torch.where(on_lower, r2, r1)
        # coordinate along the arm, in heights from the shoulder
        length1, length2 = 0.178 * k, 0.165 * k
        along = torch.where(on_lower, length1 + t2 * length2, t1 * length1)
        shade = (
            1.03
            - 0.17 * (across / radius).clamp(-1, 1) ** 2
            + 0.05 * (across / radius).clamp(-1, 1)
        )
        # at the shoulder the arm takes over the torso's light, so that no edge shows there
        joined = (1 - along / 0.05).clamp(0, 1) * ((0.02 - across * -sign * 1.0) / 0.04).clamp(0, 1)
        shade = shade + joined * (self._round(self._half_width(0.0)) - shade)
        # a soft shadow of the arm on what lies behind it
        c.darken(
            0.13 * c.soft(skin_arm + 0.008, 0.032) * (1 - c.coverage(skin_arm)) * c.masks["garment"]
        )

        hx, hy = joints.wrist
        ex, ey = joints.elbow
        reach = 0.030 / (((hx - ex) ** 2 + (hy - ey) ** 2) ** 0.5)
        tip = (hx + (hx - ex) * reach, hy + (hy - ey) * reach)
        _, hand_across, hand_d = c.segment(joints.wrist, tip)
        hand = (0.0225 * k - 0.0045 * (hand_across / 0.02).clamp(-1, 1) ** 2) - hand_d
        hand_label = RIGHT_HAND if side == "right" else LEFT_HAND
        c.paint(c.coverage(hand), a.skin, 0.98, hand_label, "body")
        inner = across * sign < 0
        upper_pair, lower_pair = UPPER_ARM[side], LOWER_ARM[side]
        upper_label = torch.where(inner, upper_pair[1], upper_pair[0])
        lower_label = torch.where(inner, lower_pair[1], lower_pair[0])
        arm_label = torch.where(on_lower, lower_label, upper_label)
        c.paint(c.coverage(skin_arm), a.skin, shade, arm_label, "body")

        # the sleeve
        s = column(a.sleeve)
        reach_s = s * (length1 + length2 * 0.99)
        short = ((0.8 - s) / 0.3).clamp(0, 1)
        present = (s / 0.10).clamp(0, 1)
        ease = (
            0.0040
            + 0.004 * column(a.fit)
            + 0.006 * self.knit
            + 0.007 * short * (along / 0.12).clamp(0, 1)
        ) * present
        ease = ease - 0.05 * (1 - present)
        cut = reach_s - along
        sleeve = torch.minimum(torch.maximum(upper + ease, lower + ease * 0.9), cut)
        alpha = c.coverage(sleeve)
        cloth = self._figure_cloth(along + 0.02, across)
        wrinkles = bump(along - length1, 0.0, 0.012) * 0.07 + 0.035 * torch.sin(
            along * 95 + across * 40
        ) * (1 - short)
        cuff = bump(cut, 0.013, 0.004) * (0.14 + 0.05 * self.knit)
        c.darken(0.16 * c.soft(sleeve + 0.010, 0.022) * (1 - alpha) * c.coverage(skin_arm))
        c.paint(alpha, cloth, shade - wrinkles - cuff, arm_label, "garment")
        # the seam where sleeve meets shoulder
        seam = bump(along, 0.004, 0.0035) * c.coverage(upper) * present * c.masks["garment"]
        c.darken(0.10 * seam)

    def _collar(self) -> None:
        c, a = self.canvas, self.a
        strength = column(a.neckline[:, 2])
        x = self.dx.abs()
        y = c.y
        # each flap: a kite between the neck, the shoulder and a point on the chest
        flap = torch.minimum(
            torch.minimum(
                x - 0.004 - (0.318 - y) * 0.10,
                (0.342 - y) - (0.062 - x).clamp_min(0) * 0.55 + 0.004,
            ),
            torch.minimum(
                0.074 - x - (0.262 - y).clamp_min(0) * 0.4,
                y - 0.240 - (0.058 - x).clamp_min(0) * 0.85,
            ),
        )
        alpha = c.coverage(flap) * strength
        c.darken(
            0.25
            * strength
            * c.soft(flap + 0.008, 0.016)
            * (1 - c.coverage(flap))
            * c.masks["garment"]
        )
        c.paint(
            alpha,
            (a.colour * 0.90 + 0.09).clamp(0, 1),
            1.03 - 1.2 * (x - 0.04).clamp_min(0),
            TORSO,
            "garment",
        )
        placket = bump(self.dx, 0.010, 0.003) * c.coverage(y - 0.31) * c.coverage(0.47 - y)
        c.darken(0.20 * strength * placket * c.masks["garment"])
        for k in range(3):
            button = c.soft(c.ellipse(a.centre, 0.345 + 0.045 * k, 0.0062, 0.0062), 0.006)
            c.paint(button * strength * 0.85, a.ink, 0.97)

    # -- head -------------------------------------------------------------------------------------
    def _hair_top(self, grow: float) -> Tensor:
        c, a = self.canvas, self.a
        volume = a.hair_volume
        return c.ellipse(
            self.head_x,
            self.head_y - 0.012 - 0.006 * volume,
            0.086 + 0.010 * volume + grow,
            0.108 + 0.010 * volume + grow,
        )

    def _back_hair(self) -> None:
        c, a = self.canvas, self.a
        length = column(a.hair_length)
        volume = column(a.hair_volume)
        bottom = 0.175 + 0.185 * length
        hx = c.x - column(self.head_x)
        half = 0.078 + 0.020 * length + 0.010 * volume + 0.006 * torch.sin(c.y * 42)
        half = half * (1 - 0.30 * ((c.y - bottom + 0.06) / 0.06).clamp(0, 1) ** 2)
        fall = torch.minimum(torch.minimum(half - hx.abs(), bottom - c.y), c.y - self.head_y)
        alpha = c.coverage(torch.maximum(fall, self._hair_top(0.0)))
        strands = 0.80 + 0.05 * torch.sin(hx * 210)
        label = torch.where(
            hx < 0, torch.full_like(c.labels, RIGHT_HEAD), torch.full_like(c.labels, LEFT_HEAD)
        )
        c.paint(alpha, a.hair, strands, label, "head")

    def _head(self) -> None:
        c, a = self.canvas, self.a
        hx_centre, hy = self.head_x, self.head_y
        hx = c.x - column(hx_centre)
        tilt = column(a.head_tilt)
        # face coordinates, turned with the head
        fx = hx * torch.cos(tilt) + (c.y - hy) * torch.sin(tilt)
        fy = (c.y - hy) * torch.cos(tilt) - hx * torch.sin(tilt)
        side = torch.where(
            hx < 0, torch.full_like(c.labels, RIGHT_HEAD), torch.full_like(c.labels, LEFT_HEAD)
        )
        cranium = _oval(fx, fy + 0.012, 0.0765, 0.088)
        oval = torch.maximum(cranium, _oval(fx, fy - 0.030, 0.0600, 0.0765))
        for s in (-1.0, 1.0):
            ear = c.soft(0.017 - ((fx - s * 0.076) ** 2 + ((fy - 0.008) * 0.75) ** 2).sqrt(), 0.008)
            c.paint(ear, a.skin, 0.90, side, "head")
        u = (fx / 0.075).clamp(-1, 1)
        c.paint(
            c.coverage(oval),
            a.skin,
            1.05 - 0.13 * u * u - 0.05 * u - 0.5 * (fy - 0.06).clamp_min(0),
            side,
            "head",
        )

        dark = a.hair * 0.55
        blush_colour = a.skin * a.skin.new_tensor([0.98, 0.72, 0.68])
        lips = a.skin * a.skin.new_tensor([0.86, 0.50, 0.50])
        brow_y = -0.022 - 0.007 * column(a.brow)
        smile = column(a.smile)
        for s in (-1.0, 1.0):
            ex = fx - s * 0.030
            white = c.soft(
                0.0105 - (ex**2 + ((fy - 0.002) * 1.55) ** 2).clamp_min(1e-9).sqrt(), 0.004
            )
            c.paint(white, a.skin * 0.10 + 0.86)
            iris = c.soft(0.0066 - (ex**2 + (fy - 0.002) ** 2).clamp_min(1e-9).sqrt(), 0.004)
            c.paint(iris, dark * 0.55 + 0.04)
            lid = c.soft(0.0028 - (fy + 0.0050 - 16.0 * ex**2).abs(), 0.003) * c.soft(
                0.014 - ex.abs(), 0.004
            )
            c.paint(lid * 0.75, dark * 0.5)
            brow = c.soft(0.0034 - (fy - brow_y - 7.0 * ex**2).abs(), 0.004) * c.soft(
                0.018 - ex.abs(), 0.008
            )
            c.paint(brow * 0.85, dark)
            cheek = c.soft(
                0.022 - ((fx - s * 0.040) ** 2 + (fy - 0.034) ** 2).clamp_min(1e-9).sqrt(), 0.034
            )
            c.paint(cheek * (0.18 + 0.30 * column(a.blush)), blush_colour)
        nose = bump(fy, 0.031, 0.004) * bump(fx, 0.002, 0.0085)
        c.darken(0.20 * nose * c.coverage(oval))
        mouth_y = 0.057 - (4.0 + 22.0 * smile) * (fx**2) * 0.9 + 0.004 * smile
        mouth = c.soft(0.0045 + 0.002 * smile - (fy - mouth_y).abs(), 0.005) * c.soft(
            0.023 + 0.004 * smile - fx.abs(), 0.008
        )
        c.paint(mouth * 0.9, lips)

        # hair over the brow: a cap minus the face's opening, parted
        cap = self._hair_top(0.004)
        part = column(a.hair_part)
        line = (
            -0.050
            - 0.018 * torch.cos((fx / 0.075) * 1.6)
            + 0.35 * part * fx
            + 0.012 * (fx / 0.07) ** 2
        )
        sides = (
            0.0665
            - 0.006 * column(a.hair_length)
            + 0.05 * (fy + 0.02).clamp_min(0) * (1 - column(a.hair_length))
        )
        front = torch.maximum(line - fy, fx.abs() - sides)
        short = (0.035 - fy) + 0.16 * column(a.hair_length)
        alpha = c.coverage(torch.minimum(torch.minimum(cap, front), short))
        strands = 1.0 + 0.06 * torch.sin(fx * 190 + fy * 60)
        sheen = 0.22 * bump(fy + 0.072 + 2.0 * (fx + 0.015) ** 2, 0.0, 0.012)
        c.darken(
            0.15 * c.soft(torch.minimum(cap, front) + 0.006, 0.014) * (1 - alpha) * c.coverage(oval)
        )
        c.paint(alpha, a.hair, strands + sheen, side, "head")
