"""The studio: a dressed person before a wall, lamps and a camera, as a Mitsuba scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .attributes import Person
from .body import posed_body
from .extra import mitsuba
from .eyes import eye_meshes
from .garments import Wardrobe
from .hair import grow
from .materials import cloth, lamp, mesh, rgb, ribbons, surface
from .maths import Array, linear
from .pose import Posed
from .skin import paint
from .topology import normals
from .transport import BOUNCE
from .trims import button_mesh

DISTANCE = 3.4  # metres from the camera to the person
WALL = 0.62  # metres from the person to the wall
#: shapes in the scene, in the order of their class in `truth`
SHAPES = ("body", "upper", "lower", "buttons", "eyes", "lashes", "hair")


@dataclass
class Camera:
    """The image plane at the person: its height, and its centre, in metres."""

    height: float
    x: float
    z: float

    def project(self, points: Array, size: int) -> Array:
        """Points (N, 3) in metres -> pixel coordinates (N, 2) in an image of `size` pixels."""
        scale = size / self.height * DISTANCE / (points[:, 1] + DISTANCE)
        return np.stack(
            [
                size / 2 + (points[:, 0] - self.x) * scale,
                size / 2 - (points[:, 2] - self.z) * scale,
            ],
            1,
        )


@dataclass
class Studio:
    """A built scene with what truth needs of it."""

    scene: Any
    shapes: dict[str, Any]
    camera: Camera
    posed: Posed
    wardrobe: Wardrobe
    upper: dict[str, Array]
    lower: dict[str, Array]
    body: tuple[Array, Array, Array]  # vertices, faces in sight, faces of all


def frame(posed: Posed, hair_top: float, person: Person) -> Camera:
    """The image plane that shows a posed person whose hair ends at the height `hair_top`, metres."""
    shared, studio = posed.shared, person.studio
    top = max(float(posed.vertices[shared.body.vertices][:, 2].max()), hair_top)
    low = float(posed.joints[shared.bone("upperleg01.L")][2]) - studio.low
    height = (top - low) * 1.06
    middle = (top + 0.03 + low) / 2 + studio.shift[1]
    x = float(posed.joints[shared.bone("spine01")][0]) * 0.6 + studio.shift[0]
    return Camera(height, x, middle)


def _lamps(person: Person, z: float) -> dict[str, Any]:
    studio = person.studio
    warm = np.array([1 + studio.warmth, 1.0, 1 - studio.warmth])
    a, soft = studio.azimuth, studio.softness
    key = np.array([-2.0 * np.sin(0.75 + 0.5 * a), -2.2, z + 1.25])
    aim = np.array([0, 0, z + 0.15])
    area = 1 / soft**2
    return {
        "key": lamp("key", key, aim, 0.9 * soft, 1.2 * soft, warm * 21.0 * studio.key * area),
        "fill": lamp(
            "fill", np.array([2.3, -2.0, z + 0.3]), aim, 1.6, 2.2, warm[::-1] * 1.75 * studio.fill
        ),
        "rim": lamp("rim", np.array([1.9, 0.35, z + 1.2]), aim, 0.7, 1.2, warm * 4.5),
        "back": lamp(
            "back", np.array([-0.5, -0.35, z + 2.4]), np.array([-0.2, 0.6, z]), 2.2, 0.8, warm * 2.2
        ),
        "sky": {"type": "constant", "radiance": rgb(0.16)},
    }


def _buttons(wardrobe: Wardrobe, colour: Array) -> tuple[Array, Array, Array]:
    """One mesh of all buttons; without any, a speck far behind the camera, so that the scene is the same."""
    spots = wardrobe.buttons or [(np.array([0.0, -90.0, 0.0]), np.array([0.0, 0.0, 1.0]))]
    vertices, faces, count = [], [], 0
    for position, normal in spots:
        v, f = button_mesh(position, normal)
        vertices.append(v)
        faces.append(f + count)
        count += len(v)
    return np.concatenate(vertices), np.concatenate(faces), colour


def garment_mesh(mesh_arrays: dict[str, Array], albedo: Array | float = BOUNCE) -> Any:
    """The Mitsuba mesh of a garment with the given albedo, times its trims' tone."""
    colour = np.broadcast_to(albedo, (len(mesh_arrays["tone"]), 3)) * mesh_arrays["tone"][:, None]
    return mesh(
        mesh_arrays["vertices"],
        mesh_arrays["faces"],
        cloth(),
        np.clip(colour, 0, 1),
        mesh_arrays["normals"],
    )


def empty_mesh() -> dict[str, Array]:
    """A speck far behind the camera, in place of a garment that is not worn."""
    far = np.array([[0.0, -90.0, 0.0], [0.01, -90.0, 0.0], [0.0, -90.0, 0.01]])
    return {
        "vertices": far,
        "faces": np.array([[0, 1, 2]]),
        "normals": np.tile([0.0, -1.0, 0.0], (3, 1)),
        "uv": np.zeros((3, 2)),
        "panel": np.zeros(3, int),
        "tone": np.ones(3),
    }


def build(
    person: Person, size: int, samples: int, upper: Array | None = None, lower: Array | None = None
) -> Studio:
    """The scene of `person`, for an image of `size` pixels with `samples` rays each.

    `upper` and `lower` are linear albedos of the garments for reference renders; by default both have the
    albedo `transport.BOUNCE`.
    """
    mi = mitsuba()
    posed = posed_body(person)
    shared = posed.shared
    wardrobe = Wardrobe(posed, person)
    up = wardrobe.upper.joined()
    low = wardrobe.lower.joined() if wardrobe.lower.count else empty_mesh()
    fine = shared.body_fine
    vertices = fine.fine(posed.vertices)
    seen = ~(fine.fine(wardrobe.hidden.astype(float)) > 0.99)[fine.faces].all(1)
    colour = paint(person.look, person.hair.colour, person.hair.length)
    hair, radius = grow(posed, person.hair, wardrobe.cover)
    pale = float(person.top_texture.colour.mean()) < 0.6
    button = linear(np.array([0.75, 0.73, 0.70] if pale else [0.38, 0.33, 0.29]))
    lashes = [(m.fine(posed.vertices), m.faces) for m in shared.lashes]
    offsets = np.cumsum([0] + [len(v) for v, _ in lashes])
    shapes = {
        "body": mesh(
            vertices,
            fine.faces[seen],
            surface(roughness=0.52, specular=0.32, flatness=0.5),
            colour,
            normals(vertices, fine.faces),
        ),
        "upper": garment_mesh(up, BOUNCE if upper is None else upper),
        "lower": garment_mesh(low, BOUNCE if lower is None else lower),
        "eyes": mesh(*eye_arrays(posed, person)),
        "lashes": mesh(
            np.concatenate([v for v, _ in lashes]),
            np.concatenate([f + o for (_, f), o in zip(lashes, offsets, strict=False)]),
            surface(roughness=0.9, specular=0.1),
            _lash_colour(person),
        ),
        "hair": _hair_mesh(person, hair, radius),
    }
    v, f, c = _buttons(wardrobe, button)
    shapes["buttons"] = mesh(v, f, surface(roughness=0.25, specular=0.5), c)
    camera = frame(posed, float(np.quantile(hair[..., 2], 0.995)), person)
    t = mi.ScalarTransform4f
    wall = t().translate([0, WALL, 0]) @ t().rotate([1, 0, 0], 90) @ t().scale([5, 5, 1])
    floor = t().translate([0, 0, float(posed.vertices[:, 2].min())]) @ t().scale([5, 5, 1])
    scene = mi.load_dict(
        {
            "type": "scene",
            **shapes,
            "wall": {
                "type": "rectangle",
                "to_world": wall,
                "b": {"type": "diffuse", "reflectance": rgb(linear(person.studio.wall))},
            },
            "floor": {
                "type": "rectangle",
                "to_world": floor,
                "b": {"type": "diffuse", "reflectance": rgb(0.6)},
            },
            **_lamps(person, camera.z),
            "camera": _sensor(camera, person.studio.tilt, size, samples),
        },
        parallel=False,
    )
    return Studio(
        scene, shapes, camera, posed, wardrobe, up, low, (vertices, fine.faces[seen], fine.faces)
    )


def _hair_mesh(person: Person, strands: Array, radius: Array) -> Any:
    """All strands as one mesh; each has a shade of its own, and roots are darker than tips."""
    n, k, _ = strands.shape
    eye = np.array([0.0, -DISTANCE, float(strands[..., 2].mean())])
    vertices, faces, normal = ribbons(strands, radius, eye)
    shade = 1.05 + 0.22 * np.clip(np.random.default_rng(23).standard_normal(n), -2, 2)
    along = 0.85 + 0.30 * np.linspace(0, 1, k)
    colour = linear(person.hair.colour) * (shade[:, None] * along)[..., None] + 0.002
    glossy = {"type": "twosided", "b": surface(roughness=0.36, specular=0.5)}
    return mesh(vertices, faces, glossy, np.repeat(colour.reshape(-1, 3), 2, axis=0), normal)


def _lash_colour(person: Person) -> Array:
    """Lashes are as dark as they are made up; bare ones let the skin through."""
    k = 0.45 + 0.55 * person.look.makeup
    return np.asarray(0.015 * k + 0.30 * linear(person.look.skin) * (1 - k))


def eye_arrays(posed: Posed, person: Person) -> tuple[Array, Array, dict[str, Any], Array]:
    """Arguments of `mesh` for both eyes."""
    vertices, faces, colour = eye_meshes(posed, person.look)
    wet = surface(roughness=0.35, specular=0.5, clearcoat=1.0, clearcoat_gloss=0.97)
    return vertices, faces, wet, colour


def _sensor(camera: Camera, tilt: float, size: int, samples: int) -> dict[str, Any]:
    t = mitsuba().ScalarTransform4f
    origin, target = [camera.x, -DISTANCE, camera.z + tilt], [camera.x, 0.0, camera.z]
    return {
        "type": "perspective",
        "fov": float(2 * np.degrees(np.arctan(camera.height / 2 / DISTANCE))),
        "to_world": t().look_at(origin=origin, target=target, up=[0, 0, 1]),
        "film": {
            "type": "hdrfilm",
            "width": size,
            "height": size,
            "rfilter": {"type": "box"},
            "pixel_format": "rgb",
            "component_format": "float32",
        },
        "sampler": {"type": "multijitter", "sample_count": samples},
    }
