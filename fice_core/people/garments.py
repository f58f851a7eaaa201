"""Upper and lower garments: their cut, drape and folds, assembled into one mesh each."""

from __future__ import annotations

import numpy as np

from .assets import SIDES, SIGN
from .attributes import Person, Top
from .cloth import Obstacle, Stuff
from .drape import Cut, drape, sculpted, sleeve_coordinates
from .fields import WAIST, hidden_by, skirt_fields, top_fields, trouser_fields
from .folds import Scatter, skirt_folds, sleeve_folds, torso_folds, trouser_folds
from .maths import Array, smoothstep, unit
from .pieces import Outfit
from .pose import Posed
from .topology import Sheet, normals, triangles
from .trims import finish_lower, finish_top

CLEAR = 0.003  # metres between an upper garment and what it lies on, after folding


class Wardrobe(Outfit):
    """The dressed person: `upper` and `lower` meshes, buttons, and which body vertices are out of sight.

    `cover` is the obstacle that hair lies on: body and upper garment.
    """

    def __init__(self, posed: Posed, person: Person) -> None:
        super().__init__(posed, person)
        self.hidden = np.zeros(len(posed.rest), bool)
        shared = posed.shared
        self._skin_faces = triangles(shared.groups["body"])
        body = Obstacle(posed.vertices, self._skin_faces)
        vertices, faces = [posed.vertices], [self._skin_faces]
        count = len(posed.vertices)
        self.lower_sheets = self._lower_sheets(body)
        for name, sheet in self.lower_sheets.items():
            finish_lower(self, name, sheet)
            vertices.append(sheet["p"])
            faces.append(sheet.faces + count)
            count += len(sheet["p"])
        under = Obstacle(np.concatenate(vertices), np.concatenate(faces))
        top = self._top_sheet(under)
        finish_top(self, top, body)
        self.cover = Obstacle(
            np.concatenate([posed.vertices, top["p"]]),
            np.concatenate([self._skin_faces, top.faces + len(posed.vertices)]),
        )

    def _lower_sheets(self, body: Obstacle) -> dict[str, Sheet]:
        """Clipped, sculpted sheets `trousers` and `skirt`, as far as they are worn."""
        sheets = {}
        bottom = self.person.bottom
        if bottom.legs > 0.02:
            sheets["trousers"] = self._trousers(body)
        if bottom.skirt > 0.02:
            beneath = body
            if "trousers" in sheets:
                legs = sheets["trousers"]
                beneath = Obstacle(
                    np.concatenate([self.posed.vertices, legs["p"]]),
                    np.concatenate([self._skin_faces, legs.faces + len(self.posed.vertices)]),
                )
            sheets["skirt"] = self._skirt(beneath)
        return sheets

    def _trousers(self, body: Obstacle) -> Sheet:
        posed, shared, bottom = self.posed, self.posed.shared, self.person.bottom
        z, waist = shared.template[:, 2], shared.hip + WAIST
        fields = trouser_fields(shared, bottom)
        loose = bottom.ease + (0.008 + 0.010 * bottom.flare) * smoothstep(
            shared.hip - 0.03 - z, 0, 0.2
        )
        sheet = drape(
            posed,
            Cut(
                mesh=shared.tights,
                fields=fields,
                ease=np.where(shared.arms > 0.2, 0, loose),
                gap=0.004,
                stuff=Stuff(bend=0.25, frames=26),
                smooth=6,
                pinned=(waist - z < 0.03).astype(float),
                carried={"under": self._under_top()},
            ),
            body,
        )
        hip = posed.rest_joints[shared.bone("upperleg01.L")][2]
        x, height = sheet["rest"][:, 0], sheet["rest"][:, 2] - hip
        front = smoothstep(-sheet["rest"][:, 1], -0.02, 0.05)
        rng = Scatter(self.person.top.folds, 21)
        sheet = sculpted(sheet, trouser_folds(np.stack([x, height], 1), rng) * front)
        side = np.sign(x)
        angle = np.arctan2(x - side * 0.09, -sheet["rest"][:, 1])
        sheet = sheet.with_values(uv=np.stack([angle * 0.09 + side * 0.1, height], 1))
        self.hidden |= (waist - 0.02 - z > 0) & (fields["low"] > 0.05) & (shared.arms < 0.1)
        return sheet.clip_at("f_waist").clip_at("f_low").clip_at("f_under")

    def _under_top(self) -> Array:
        """Metres (V,) below the height from which the upper garment hides the lower one for sure."""
        top, z = self.person.top, self.posed.shared.template[:, 2]
        return np.asarray(self.posed.shared.hip + top.hem + 0.035 + 0.2 * top.dress - z)

    def _skirt(self, body: Obstacle) -> Sheet:
        posed, shared, bottom = self.posed, self.posed.shared, self.person.bottom
        z = shared.template[:, 2]
        dress = self.person.top.dress
        fields = skirt_fields(shared, bottom, dress)
        hip = posed.rest_joints[shared.bone("upperleg01.L")][2]

        def flared(shape: Array) -> Array:
            grow = np.clip((hip + 0.11 - shape[:, 2]) / 0.4, 0, 1) * bottom.flare
            return np.concatenate([shape[:, :2] * (1 + grow)[:, None], shape[:, 2:]], 1)

        sheet = drape(
            posed,
            Cut(
                mesh=shared.skirt,
                fields=fields,
                ease=np.full(len(z), 0.003),
                gap=0.006,
                stuff=Stuff(bend=0.06, frames=30),
                smooth=3,
                pinned=(fields["waist"] < 0.05).astype(float),
                shaped=flared,
                unfold=True,
                carried={"under": self._under_top()},
            ),
            body,
        )
        uv = sheet["uv"]
        rng = Scatter(self.person.top.folds, 22)
        sheet = sculpted(sheet, skirt_folds(uv, bottom.flare, rng))
        worn = (fields["waist"] > 0.03) & (fields["low"] > 0.10) & (shared.arms < 0.1)
        self.hidden |= worn
        return sheet.clip_at("f_waist").clip_at("f_low").clip_at("f_under")

    def _top_sheet(self, under: Obstacle) -> Sheet:
        """The upper garment, sculpted and with coordinates of the trunk, clipped at its edges."""
        posed, shared, top = self.posed, self.posed.shared, self.person.top
        fields = top_fields(shared, top)
        sheet = drape(posed, self._top_cut(fields), under)
        sheet = sculpted(sheet, self._top_folds(sheet, sheet["uv"]))
        position = under.push_out(sheet["p"], CLEAR, 0.03)
        sheet = sheet.with_values(p=position, n=normals(position, sheet.faces))
        self.hidden |= hidden_by(fields, 0.03)
        for name in ("neck", "L", "R", "hem"):
            sheet = sheet.clip_at(f"f_{name}")
        return sheet

    def _top_cut(self, fields: dict[str, Array]) -> Cut:
        posed, shared, top = self.posed, self.posed.shared, self.person.top
        z, arms = shared.template[:, 2], shared.arms
        waist = shared.hip + WAIST
        sleeve_ease = top.ease * (0.55 + 0.2 * top.knit) + 0.003
        ease = top.ease + (sleeve_ease - top.ease) * smoothstep(arms, 0.3, 0.7)
        ease = ease * (1 - 0.5 * top.waist * np.exp(-(((z - waist - 0.06) / 0.09) ** 2)))
        ease = ease * (1 - 0.9 * top.dress * np.exp(-(((z - waist) / 0.06) ** 2)))
        ease = ease * (0.12 + 0.88 * smoothstep(fields["neck"], 0.0, 0.10))
        for side in SIDES:
            cap = 0.35 + 0.65 * smoothstep(shared.arm[side], 0.02, 0.22)
            ease = np.where(shared.arm_weight[side] > 0.3, ease * cap, ease)
        # hung from the shoulders: held on the yoke, loose elsewhere
        yoke = np.exp(-np.maximum(shared.hip + 0.47 - z, 0) / 0.035) * (arms < 0.75)
        near = np.exp(-np.clip(fields["neck"], 0, 1) / 0.03)
        hold = 0.004 + 0.55 * np.clip(yoke, 0, 1) + 0.35 * near * (1 - arms)
        hold = hold + 0.004 * (arms > 0.5)
        bare = float(np.clip(1 - top.sleeve / 0.16, 0, 1))
        snug = max(top.dress, bare)
        hold = np.maximum(hold, snug * (0.25 * near + 0.06))
        hold = np.maximum(hold, top.dress * 0.8 * (z < waist + 0.02))
        slack = np.zeros((len(z), 3))
        slack[:, 2] = 0.035 * (arms < 0.5) * (1 - top.dress)
        for side in SIDES:
            a, b, c = (
                posed.rest_joints[shared.bone(f"{k}.{side}")]
                for k in ("upperarm01", "lowerarm01", "wrist")
            )
            below = smoothstep(shared.arm[side], 0.4, 0.6)[:, None]
            along = unit(b - a) * (1 - below) + unit(c - b) * below
            extra = 0.04 + 0.09 * float(smoothstep(top.sleeve, 0.45, 0.8))
            slack = np.where((shared.arm_weight[side] > 0.6)[:, None], along * extra, slack)
        bend = 0.035 + 0.05 * top.weight + 0.09 * top.knit + 0.03 * top.collar
        return Cut(
            mesh=shared.tights,
            fields=fields,
            ease=ease,
            gap=0.0045,
            stuff=Stuff(bend=bend, gravity=5.0, crumple=0.25, friction=0.5, frames=34, rounds=9),
            smooth=12,
            hold=hold,
            slack=slack,
            unfold=True,
        )

    def _top_folds(self, sheet: Sheet, uv: Array) -> Array:
        posed, shared, top = self.posed, self.posed.shared, self.person.top
        joints, bone = posed.rest_joints, shared.bone
        hip = joints[bone("upperleg01.L")][2]
        amount = 0.55 + top.ease / 0.03 - 0.25 * top.knit - 0.2 * top.dress - 0.25 * top.gloss
        on_trunk = 1 - smoothstep(sheet["L"] + sheet["R"], 0.3, 0.8)
        armpit = joints[bone("upperarm01.L")][2] - 0.13 - hip
        marks = (armpit, WAIST + 0.02, top.hem * (1 - top.dress) + 0.1 * top.dress)
        height = torso_folds(uv, marks, Scatter(top.folds, 31)) * on_trunk
        for side in SIDES:
            on_arm = sleeve_coordinates(posed, sheet["rest"], side, sheet[f"arm{side}"])
            rng = Scatter(top.folds, 41 + int(SIGN[side] < 0))
            height += sleeve_folds(on_arm, top.sleeve, rng) * smoothstep(sheet[side], 0.4, 0.85)
        return np.asarray(height * amount)


def is_dress(top: Top) -> bool:
    """Whether top and skirt count as one dress."""
    return top.dress > 0.5
