import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fice_core.errors import FiceError
from fice_core.people import render
from fice_core.people.attributes import Texture
from fice_core.people.classes import CLASSES, FACE, GROUPS, LOWER, UPPER
from fice_core.people.compose import compose, mean_albedo, painted, tone
from fice_core.people.maths import Array, linear
from fice_core.people.pool import MANIFEST, Pool, shard_path, write_shard
from fice_core.people.record import UV_STEP, Record, from_bytes, to_bytes
from fice_core.people.render import check_settings, codes_of_shard

RED = Texture(np.array([0.7, 0.1, 0.1]), np.zeros(3), np.zeros(8), 1.0, np.zeros(2), 0.0)
GREEN = dataclasses.replace(RED, colour=np.array([0.1, 0.6, 0.2]))


def drawn_record() -> Record:
    """Four pixels: background, a face, an upper garment, half upper and half lower."""
    s = 2
    rest, light = np.zeros((s, s, 3), np.float32), np.zeros((s, s, 3), np.float32)
    rest[0, 0], rest[0, 1] = 0.8, 0.3
    light[1, :] = (1.0, 0.9, 0.8)
    classes = np.zeros((6, 6), np.uint8)
    classes[:3, 3:] = FACE
    classes[3:, :] = UPPER
    classes[5, 3:] = LOWER
    cloth = classes >= UPPER
    panel = np.where(classes[cloth] == LOWER, 132, 0).astype(np.uint8)
    uv = np.random.default_rng(0).uniform(-0.3, 0.3, (int(cloth.sum()), 2)).astype(np.float32)
    parts = np.array([[0, 23], [2, 2]], np.uint8)
    joints, code = np.arange(8.0, dtype=np.float32).reshape(4, 2), np.ones(5, np.float32)
    return Record(rest, light, classes, parts, cloth, panel, uv, joints, code)


def test_coverages_sum_to_one() -> None:
    record = drawn_record()
    assert record.all_coverage().sum(0) == pytest.approx(1)
    assert record.coverage(LOWER)[1, 1] == pytest.approx(1 / 3)
    assert record.region("head")[0].tolist() == [0, 1]


def test_groups_name_real_classes() -> None:
    assert all(0 <= k < len(CLASSES) for group in GROUPS.values() for k in group)


def test_the_image_is_rest_plus_albedo_times_light() -> None:
    record = drawn_record()
    image = compose(record, RED, GREEN)
    assert image[0, 0] == pytest.approx(tone(np.full(3, 0.8)), abs=1e-6)

    def flat(value: Array):  # type: ignore[no-untyped-def]
        return lambda uv, panel: np.tile(value, (len(uv), 1))

    red, green = linear(RED.colour), linear(GREEN.colour)
    image = compose(record, flat(red), flat(green))
    light = np.array([1.0, 0.9, 0.8])
    assert image[1, 0] == pytest.approx(tone(red * light), abs=1e-5)
    assert image[1, 1] == pytest.approx(tone((red * 2 + green) / 3 * light), abs=1e-5)


def test_another_texture_changes_the_garment_alone() -> None:
    record = drawn_record()
    change = np.abs(compose(record, RED, RED) - compose(record, GREEN, RED)).max(-1)
    assert change[0].tolist() == [0, 0] and change[1].min() > 0.1


def test_light_beside_the_cloth_takes_the_neighbours_albedo() -> None:
    record = drawn_record()
    record.light[0, 0] = 0.5
    mean = mean_albedo(record, painted(RED), painted(RED))
    assert mean[0, 0] == pytest.approx(linear(RED.colour), rel=0.2)
    assert mean[0, 1].max() == 0


def test_the_tone_curve_rises_and_stays_in_range() -> None:
    values = tone(np.linspace(0, 4, 500))
    assert (np.diff(values) >= 0).all()
    assert values[0] == 0 and values[-1] <= 1


def test_bytes_keep_a_record() -> None:
    record = drawn_record()
    again = from_bytes(to_bytes(record))
    for name in ("classes", "parts", "cloth", "panel", "joints", "code"):
        assert np.array_equal(getattr(again, name), getattr(record, name))
    assert np.abs(again.uv - record.uv).max() <= UV_STEP / 2 + 1e-7
    assert again.rest == pytest.approx(record.rest, abs=0.01)
    assert again.light == pytest.approx(record.light, abs=0.02)
    assert to_bytes(record) == to_bytes(drawn_record())


def filled(folder: Path, people: int = 3) -> Path:
    folder.mkdir(exist_ok=True)
    check_settings(folder, {"format": 1, "size": 2})
    write_shard(
        shard_path(folder, 0), {f"{i:06d}": to_bytes(drawn_record()) for i in range(people)}
    )
    return folder


def test_a_pool_reads_what_was_written(tmp_path: Path) -> None:
    pool = Pool(filled(tmp_path))
    assert len(pool) == 3
    assert np.array_equal(pool[2].classes, drawn_record().classes)
    assert len(list(pool)) == 3


def test_the_same_people_give_the_same_file(tmp_path: Path) -> None:
    first, second = (shard_path(filled(tmp_path / n), 0).read_bytes() for n in "ab")
    assert first == second


def test_wrong_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match="no rendered people"):
        Pool(tmp_path)
    filled(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps({"format": 99}))
    with pytest.raises(FiceError, match="format 99"):
        Pool(tmp_path)


def test_a_damaged_shard_is_told(tmp_path: Path) -> None:
    path = shard_path(filled(tmp_path), 0)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FiceError, match="damaged"):
        Pool(tmp_path)


def test_a_folder_keeps_its_settings(tmp_path: Path) -> None:
    check_settings(tmp_path, {"size": 256, "seed": 0})
    check_settings(tmp_path, {"size": 256, "seed": 0})
    with pytest.raises(FiceError, match=r"size 256 \(asked: 128\)"):
        check_settings(tmp_path, {"size": 128, "seed": 0})


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[tuple[int, int]] = []

    def shard(
        seed: int, index: int, count: int, size: int, samples: int
    ) -> dict[str, dict[str, bytes]]:
        rendered.append((index, count))
        if len(rendered) == 2:
            raise KeyboardInterrupt
        return {f"{index}-{i:03d}": to_bytes(drawn_record()) for i in range(count)}

    monkeypatch.setattr(render, "render_shard", shard)
    monkeypatch.setattr(render, "mitsuba", lambda: None)
    runner = CliRunner()
    arguments = [str(tmp_path), "--count", str(2 * render.SHARD + 1), "--size", "2"]
    assert runner.invoke(render.main, arguments).exit_code != 0
    assert len(Pool(tmp_path)) == render.SHARD
    assert runner.invoke(render.main, arguments).exit_code == 0
    assert rendered == [(0, 64), (1, 64), (1, 64), (2, 1)]
    assert len(Pool(tmp_path)) == 2 * render.SHARD + 1
    # more people than before: the last, partial shard is completed
    assert (
        runner.invoke(
            render.main, [*arguments[:2], str(2 * render.SHARD + 3), *arguments[3:]]
        ).exit_code
        == 0
    )
    assert rendered[4:] == [(2, 3)]
    other = runner.invoke(render.main, [*arguments, "--seed", "5"])
    assert other.exit_code == 2 and "was begun with seed 0" in other.output


def test_shards_have_codes_of_their_own() -> None:
    assert np.array_equal(codes_of_shard(1, 0), codes_of_shard(1, 0))
    assert not np.array_equal(codes_of_shard(1, 0), codes_of_shard(1, 1))
    assert not np.array_equal(codes_of_shard(1, 0), codes_of_shard(2, 0))
