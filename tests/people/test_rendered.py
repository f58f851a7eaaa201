"""The truth of the renderer, on a few small renders."""

import os

import numpy as np
import pytest

from fice_core.people.classes import (
    ARMS,
    BACKGROUND,
    DRESS,
    FACE,
    HAIR,
    HANDS,
    LOWER,
    SUBSAMPLES,
    UPPER,
)
from fice_core.people.code import CODE_DIM, COMPONENTS, slices
from fice_core.people.compose import mean_albedo, own_image, tone
from fice_core.people.maths import Array
from fice_core.people.record import Record, to_bytes
from fice_core.people.sampling import person_from_code

SIZE = 64
#: components whose images are compared by default; all with FICE_PEOPLE_ALL=1, some minutes
QUICK = ("hair", "sleeve", "pose")
COMPARED = tuple(COMPONENTS) if os.environ.get("FICE_PEOPLE_ALL") else QUICK


def psnr(a: Array, b: Array) -> float:
    return float(-10 * np.log10(np.mean(np.square(a - b))))


def centres(record: Record) -> Array:
    half = SUBSAMPLES // 2
    return record.classes[half::SUBSAMPLES, half::SUBSAMPLES]


def test_masks_sum_to_one(records: list[Record]) -> None:
    for record in records:
        assert record.all_coverage().sum(0) == pytest.approx(1)


def test_labels_agree_with_masks(records: list[Record]) -> None:
    for record in records:
        seen, part = centres(record), record.parts
        assert np.array_equal(part == 0, seen == BACKGROUND)
        for classes, parts in (
            ((FACE, HAIR), (23, 24)),
            ((HANDS,), (3, 4)),
            ((ARMS,), range(15, 23)),
        ):
            shown = part[np.isin(seen, classes)]
            assert np.isin(shown, parts).sum() >= 0.9 * len(shown)
        assert record.cloth.sum() <= np.isin(record.classes, (UPPER, LOWER, DRESS)).sum()
        assert len(record.uv) == len(record.panel) == record.cloth.sum()


def test_left_is_on_the_images_right(records: list[Record]) -> None:
    for record in records:
        columns = np.arange(record.size)[None] + 0 * record.parts
        left, right = (columns[np.isin(record.parts, p)].mean() for p in ((15, 17, 4), (16, 18, 3)))
        assert left > right


def test_everybody_is_there_and_dressed(records: list[Record]) -> None:
    for record in records:
        for region, low, high in (
            ("garment", 0.08, 0.6),
            ("head", 0.01, 0.2),
            ("background", 0.2, 0.85),
        ):
            assert low < record.region(region).mean() < high, region


def test_images_are_in_range_and_not_flat(records: list[Record]) -> None:
    for record in records:
        image, _ = own_image(record)
        assert image.min() >= 0 and image.max() <= 1 and image.std() > 0.1


def test_the_same_seed_gives_the_same_bytes(records: list[Record], codes: Array) -> None:
    from fice_core.people.shoot import shoot

    assert to_bytes(shoot(codes[0], SIZE)) == to_bytes(records[0])


def test_children_are_refused(renderer: None) -> None:
    from fice_core.people.anny_model import YOUNGEST, anny_model

    with pytest.raises(ValueError, match="adults"):
        anny_model().rest({"age": YOUNGEST - 0.01})


def test_nobody_is_undressed(renderer: None, codes: Array) -> None:
    """Trunk and pelvis lie inside a garment's cut lines, for every code."""
    from fice_core.people.assets import assets
    from fice_core.people.fields import skirt_fields, top_fields, trouser_fields

    shared = assets()
    z = shared.template[:, 2]
    body = np.zeros(len(z), bool)
    body[shared.body.vertices] = True
    trunk = body & (shared.arms < 0.05) & (z > shared.hip - 0.10) & (z < shared.neck - 0.22)
    assert trunk.sum() > 1000
    for code in np.random.default_rng(2).standard_normal((200, CODE_DIM)):
        person = person_from_code(code)
        inside = np.min(np.stack(list(top_fields(shared, person.top).values())), 0) > 0
        if person.bottom.legs > 0.02:
            fields = trouser_fields(shared, person.bottom)
            inside |= np.min(np.stack(list(fields.values())), 0) > 0
        if person.bottom.skirt > 0.02:
            fields = skirt_fields(shared, person.bottom, person.top.dress)
            inside |= np.min(np.stack(list(fields.values())), 0) > 0
        assert inside[trunk].all()


def test_recoloured_equals_rendered(renderer: None, codes: Array) -> None:
    """Composing a colour on the light equals tracing the scene with that colour, the same rays in both."""
    from fice_core.people.scene import build
    from fice_core.people.shoot import cover, layers, record_of
    from fice_core.people.transport import BOUNCE
    from fice_core.people.truth import measure

    def red(uv: Array, panel: Array) -> Array:
        return np.tile([0.45, 0.02, 0.03], (len(uv), 1))

    def wavy(uv: Array, panel: Array) -> Array:
        u, v = 40 * uv[:, 0], 40 * uv[:, 1]
        return np.stack(
            [0.35 + 0.25 * np.sin(u), 0.30 + 0.25 * np.sin(v + 1), np.full(len(u), 0.2)], 1
        )

    person = person_from_code(codes[0])
    studio = build(person, SIZE, 16)
    raw = layers(studio, person, 256, 0)
    exact = cover(studio, raw[..., 12:13])
    record = record_of(measure(studio, SIZE), raw, exact, codes[0])
    for paint in (red, wavy):
        composed = tone(raw[..., :3] + mean_albedo(record, paint, red) * raw[..., 3:6])
        upper, lower = (paint(m["uv"], m["panel"]) for m in (studio.upper, studio.lower))
        lower = red(studio.lower["uv"], studio.lower["panel"])
        again = layers(build(person, SIZE, 16, upper, lower), person, 256, 0)
        # the mesh holds the albedo, and the tracer takes the light over BOUNCE
        rendered = tone(again[..., :3] + BOUNCE * again[..., 3:6])
        assert psnr(composed, rendered) > 40


def test_more_rays_are_asked_where_a_garment_ends(renderer: None, codes: Array) -> None:
    from fice_core.people.scene import build
    from fice_core.people.shoot import FINE, cover, layers

    person = person_from_code(codes[0])
    studio = build(person, SIZE, 16)
    few, many = (layers(studio, person, count, 0)[..., 12:13] for count in (16, 1024))
    exact = cover(studio, few)
    border = (many > 0.02) & (many < 0.98)
    assert border.sum() > 50
    errors = [float(np.abs(x - many)[border].mean()) for x in (few, exact)]
    assert errors[1] < 0.5 * errors[0] and errors[1] < 0.02
    np.testing.assert_allclose(exact * FINE**2, np.rint(exact * FINE**2), atol=1e-3)


@pytest.mark.parametrize("component", COMPARED)
def test_the_image_changes_less_for_smaller_steps(
    component: str, records: list[Record], codes: Array
) -> None:
    from fice_core.people.shoot import shoot

    way = np.zeros(CODE_DIM)
    way[slices()[component]] = np.random.default_rng(7).standard_normal(COMPONENTS[component])
    way /= np.linalg.norm(way)
    here, _ = own_image(records[0])
    far, near = (
        float(np.abs(own_image(shoot(codes[0] + step * way, SIZE))[0] - here).mean())
        for step in (2.0, 0.01)
    )
    assert near < 0.7 * far
    assert near < 0.012
