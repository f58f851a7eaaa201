"""A posed body: forward kinematics, arms by two-bone inverse kinematics, hands set in world space."""

from __future__ import annotations

import numpy as np

from .assets import SIDES, SIGN, Assets
from .attributes import Pose
from .maths import Array, frame, rotation, rotation_between, smoothstep, twist_angle, unit

X, Y, Z = np.eye(3)
SPINE = ("spine05", "spine04", "spine03", "spine02", "spine01")
NECK = ("neck01", "neck02", "neck03", "head")
#: how much of a finger's bend each of its three joints takes, in radians for a full fist
BEND = (1.25, 1.55, 1.0)
THUMB_BEND = (0.35, 0.55, 0.8)


class Posed:
    """One person's rest shape, its bones' transforms, and the skinned body.

    `rest` (V, 3), `rest_joints` (B, 3) and `vertices`, `joints` after posing; `transforms` (B, 4, 4) map rest
    to posed space. `clearance` keeps the hands off the garment, in metres.
    """

    def __init__(
        self, shared: Assets, rest: Array, joints: Array, pose: Pose, clearance: float
    ) -> None:
        self.shared = shared
        self.rest, self.rest_joints = rest, joints
        self._pose, self._clearance = pose, clearance
        count = len(shared.skeleton.names)
        self.local: list[Array] = [np.eye(3)] * count
        self._transforms: list[Array | None] = [None] * count
        self._turn_trunk()
        in_arms = {b for bones in shared.arm_bones.values() for b in bones}
        for bone in range(count):
            if bone not in in_arms:
                self._place(bone)
        for index, side in enumerate(SIDES):
            self._bend_arm(index, side)
        for bone in range(count):
            if self._transforms[bone] is None:
                self._place(bone)
        self.transforms = np.stack([t for t in self._transforms if t is not None])
        self.vertices = self.skin(rest, shared.weights)
        self.joints = np.stack([self.point(b, joints[b]) for b in range(count)])

    def skin(self, points: Array, weights: Array) -> Array:
        """Linear blend skinning of rest points (N, 3) with weights (N, B)."""
        matrices = np.tensordot(weights, self.transforms[:, :3, :].astype(np.float32), 1)
        return np.asarray(np.einsum("vab,vb->va", matrices[:, :, :3], points) + matrices[:, :, 3])

    def point(self, bone: int, rest_point: Array) -> Array:
        """A rest point moved with one bone."""
        t = self._at(bone)
        return np.asarray(t[:3, :3] @ rest_point + t[:3, 3])

    def head_axes(self) -> Array:
        """The head's rotation (3, 3), from rest to posed space."""
        return np.asarray(self._at(self.shared.bone("head"))[:3, :3])

    def _at(self, bone: int) -> Array:
        transform = self._transforms[bone]
        assert transform is not None
        return transform

    def _place(self, bone: int) -> None:
        head, parent = self.rest_joints[bone], self.shared.skeleton.parents[bone]
        own = np.eye(4)
        own[:3, :3] = self.local[bone]
        own[:3, 3] = head - self.local[bone] @ head
        self._transforms[bone] = own if parent < 0 else self._at(parent) @ own

    def _turn_trunk(self) -> None:
        p, bone = self._pose, self.shared.bone
        self.local[bone("root")] = rotation(Z, p.turn) @ rotation(Y, p.sway)
        for name in SPINE:
            turn = rotation(Z, p.twist / 5) @ rotation(Y, (p.lean - 1.2 * p.sway) / 5)
            self.local[bone(name)] = turn @ rotation(X, p.bow / 5)
        aside, tilt, nod = p.head
        for name in NECK:
            parts = rotation(Z, aside / 4) @ rotation(Y, tilt / 4) @ rotation(X, nod / 4)
            self.local[bone(name)] = parts
        for side in SIDES:
            sign = SIGN[side]
            leg = rotation(Y, -p.sway) @ rotation(Y, -sign * p.stance)
            self.local[bone(f"upperleg01.{side}")] = leg
            self.local[bone(f"clavicle.{side}")] = rotation(Y, -sign * p.shrug)

    def _half_width(self, height: float, margin: float) -> float:
        """Half the trunk's width at a height above the hip joint, at rest."""
        shared = self.shared
        body = shared.body.vertices
        trunk = body[shared.arms[body] < 0.01]
        z = self.rest[trunk, 2] - self.rest_joints[shared.bone("upperleg01.L")][2]
        near = np.abs(z - height) < margin
        return float(np.abs(self.rest[trunk[near], 0]).max()) if near.any() else 0.17

    def _target(self, index: int, side: str, shoulder: Array, reach: float) -> Array:
        """Where the wrist goes, in posed space."""
        p, bone, sign = self._pose, self.shared.bone, SIGN[side]
        hips = (self.rest_joints[bone("upperleg01.L")] + self.rest_joints[bone("upperleg01.R")]) / 2
        centre = self.point(bone("root"), hips)
        pelvis = rotation(Z, p.turn)
        clear = self._clearance
        spread, flex = p.spread[index], p.flex[index]
        chest = rotation(Z, p.turn + p.twist)
        down = np.array([sign * np.sin(spread), -np.sin(flex), -np.cos(spread) * np.cos(flex)])
        hang = shoulder + chest @ down * reach * p.reach[index]
        # keep the hanging wrist beside the hip
        beside = (pelvis.T @ (hang - centre))[0] * sign
        need = self._half_width(0.0, 0.05) + clear + 0.035
        hang = hang + pelvis @ X * (sign * max(need - beside, 0.0))
        waist = self._half_width(0.13, 0.03)
        hip = centre + pelvis @ np.array([sign * (waist + 0.035 + clear), 0.03, 0.135])
        back = centre + pelvis @ np.array([sign * 0.10, 0.17 + clear, 0.02])
        state = p.arm[index]
        goal = hip if state > 0 else back
        k = abs(state)
        target = hang * (1 - k) + goal * k
        out = 0.05 if state > 0 else 0.12
        return np.asarray(target + pelvis @ X * (sign * out * np.sin(np.pi * k)))

    def _bend_arm(self, index: int, side: str) -> None:
        p, bone, sign = self._pose, self.shared.bone, SIGN[side]
        chain = [
            bone(f"{b}.{side}") for b in ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02")
        ]
        wrist = bone(f"wrist.{side}")
        s0, e0, w0 = (self.rest_joints[j] for j in (chain[0], chain[2], wrist))
        parent = self._at(self.shared.skeleton.parents[chain[0]])
        shoulder = parent[:3, :3] @ s0 + parent[:3, 3]
        upper, lower = float(np.linalg.norm(e0 - s0)), float(np.linalg.norm(w0 - e0))
        target = self._target(index, side, shoulder, upper + lower)
        state = p.arm[index]
        hip, back = max(state, 0.0), max(-state, 0.0)
        chest = rotation(Z, p.turn + p.twist)
        reach = target - shoulder
        length = min(float(np.linalg.norm(reach)), 0.995 * (upper + lower))
        aim = unit(reach)
        along = (upper**2 - lower**2 + length**2) / (2 * length)
        away = np.sqrt(max(upper**2 - along**2, 1e-8))
        pole = chest @ np.array([sign * (0.30 + 0.8 * hip + 0.6 * back), 0.9 - 0.35 * hip, -0.1])
        pole = unit(pole - (pole @ aim) * aim)
        elbow = shoulder + along * aim + away * pole
        upper_dir, lower_dir = unit(elbow - shoulder), unit(shoulder + length * aim - elbow)
        d0, f0 = unit(e0 - s0), unit(w0 - e0)
        # the elbow's hinge stays the hinge: what is left over is a twist of the upper arm
        wanted = frame(upper_dir, np.cross(upper_dir, lower_dir)) @ frame(d0, np.cross(d0, -Y)).T
        base = parent[:3, :3]
        swing = rotation_between(base @ d0, upper_dir)
        twist = twist_angle(base.T @ swing.T @ wanted, d0)
        self.local[chain[0]] = base.T @ swing @ base @ rotation(d0, twist * 0.45)
        self._place(chain[0])
        self.local[chain[1]] = rotation(d0, twist * 0.55)
        self._place(chain[1])
        self.local[chain[2]] = rotation_between(f0, self._at(chain[1])[:3, :3].T @ lower_dir)
        self._place(chain[2])
        hand = self._hand_rotation(side, lower_dir, hip, back, w0)
        turned = self._at(chain[2])[:3, :3].T @ hand
        twist = float(np.clip(twist_angle(turned, f0), -2.0, 2.0))
        self.local[chain[3]] = rotation(f0, 0.65 * twist)
        self._place(chain[3])
        self.local[wrist] = self._at(chain[3])[:3, :3].T @ hand
        self._place(wrist)
        self._bend_fingers(index, side, hip)

    def _hand_rotation(
        self, side: str, forearm: Array, hip: float, back: float, w0: Array
    ) -> Array:
        """The hand's rotation from rest to posed space: where the fingers point, where the palm looks."""
        bone, sign = self.shared.bone, SIGN[side]
        finger = {k: self.rest_joints[bone(f"finger{k}-1.{side}")] for k in (2, 3, 5)}
        fingers = unit(finger[3] - w0)
        palm = sign * np.cross(finger[5] - w0, finger[2] - w0)
        pelvis = rotation(Z, self._pose.turn)
        hanging = (forearm, pelvis @ np.array([-sign * 0.95, 0.30, 0.0]))
        on_hip = (
            pelvis @ unit(np.array([-sign * 0.35, -0.80, -0.45])),
            pelvis @ np.array([-sign, 0.1, 0.1]),
        )
        behind = (
            pelvis @ unit(np.array([-sign * 0.9, -0.1, -0.3])),
            pelvis @ np.array([0, 1.0, 0.0]),
        )
        k = smoothstep(hip, 0.2, 0.95) - smoothstep(back, 0.2, 0.95)
        goal = on_hip if k > 0 else behind
        a = float(abs(k))
        direction = unit(hanging[0] * (1 - a) + goal[0] * a)
        normal = hanging[1] * (1 - a) + goal[1] * a
        return np.asarray(frame(direction, normal) @ frame(fingers, palm).T)

    def _bend_fingers(self, index: int, side: str, hip: float) -> None:
        bone, sign = self.shared.bone, SIGN[side]
        hand = self._pose.hands[index]
        flat = np.array([0.10, 0.12, 0.12, 0.14, 0.16, 0.05])
        k = float(smoothstep(hip, 0.2, 0.9))
        hand = hand * (1 - k) + flat * k
        wrist = self.rest_joints[bone(f"wrist.{side}")]
        first = {f: self.rest_joints[bone(f"finger{f}-1.{side}")] for f in (2, 5)}
        palm = unit(sign * np.cross(first[5] - wrist, first[2] - wrist))
        for finger in range(1, 6):
            for joint in range(3):
                me = bone(f"finger{finger}-{joint + 1}.{side}")
                parent = self.shared.skeleton.parents[me]
                if self._transforms[parent] is None:
                    self._place(parent)
                a, b = (joint, joint + 1) if joint < 2 else (joint - 1, joint)
                tip, root = (
                    self.rest_joints[bone(f"finger{finger}-{j + 1}.{side}")] for j in (b, a)
                )
                along = unit(tip - root)
                bend = (THUMB_BEND if finger == 1 else BEND)[joint] * hand[finger - 1]
                turn = rotation(np.cross(along, palm), bend)
                if joint == 0 and finger > 1:
                    gather = (0.10, 0.02, -0.07, -0.16)[finger - 2] * (1 - 2.0 * hand[5])
                    turn = rotation(palm, -sign * gather) @ turn
                self.local[me] = turn
                self._place(me)
