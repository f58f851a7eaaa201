"""What random codes look like: remembered on disk, byte for byte, and safely."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_models import write_models
from toys import toy_models, toy_targets

from fice_core.inversion import looks
from fice_core.inversion.looks import Drawn, RandomLooks
from fice_core.inversion.loop import invert
from fice_core.models import load_models
from fice_core.settings import EditSettings

DRAWN = Drawn(seed=3, candidates=20, at_once=8, uses_bfloat16=False, device=torch.device("cpu"))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(looks.FOLDER, str(tmp_path / "starts"))
    return tmp_path / "starts"


def of(models, drawn=DRAWN, on_disk=True):
    """The features, and how many pieces were looked at."""
    seen = []
    book = RandomLooks(models.generator, models.clip, models.clip.encode_image, drawn, on_disk)
    features = book.features(lambda images, _: seen.append(len(images)))
    assert len(seen) == book.pieces or book.pieces == 0
    return features, seen


def forgotten():
    """Nothing is in memory: as in another process."""
    looks._MEMORY.clear()


def test_another_process_finds_the_same_bytes(folder):
    models = toy_models()
    first, seen = of(models)
    assert seen == [8, 8, 4]
    forgotten()
    second, seen = of(toy_models())  # other objects of the same content
    assert seen == []
    assert torch.equal(first, second) and len(list(folder.iterdir())) == 1
    expected = models.clip.encode_image(
        models.generator.synthesize(
            RandomLooks(models.generator, models.clip, None, DRAWN, False).codes
        ).clamp(0, 1)
    )
    torch.testing.assert_close(first, expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda models: models.generator.basis.data[0, 0].add_(1e-6),
        lambda models: models.clip.weight.data[5].mul_(-1),
        lambda models: models.clip.to(torch.bfloat16).to(torch.float32),
    ],
)
def test_other_weights_have_looks_of_their_own(folder, change):
    of(toy_models())
    forgotten()
    models = toy_models()
    change(models)
    assert of(models)[1] == [8, 8, 4]
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    "changed", [{"seed": 4}, {"candidates": 16}, {"at_once": 4}, {"uses_bfloat16": True}]
)
def test_other_settings_have_looks_of_their_own(folder, changed):
    of(toy_models())
    forgotten()
    assert of(toy_models(), DRAWN._replace(**changed))[1]
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other", "folder"])
def test_a_damaged_file_is_made_anew(folder, damage):
    first, _ = of(toy_models())
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    bad = {
        "cut": whole[:-5],
        "changed": whole[:-1] + bytes([whole[-1] ^ 1]),
        "empty": b"",
        "other": b"\xff" * len(whole),
        "folder": b"",
    }
    file.write_bytes(bad[damage])
    if damage == "folder":
        file.unlink()
        file.mkdir()
    forgotten()
    again, seen = of(toy_models())
    assert seen == [8, 8, 4] and torch.equal(first, again)
    forgotten()
    assert of(toy_models())[1] == ([8, 8, 4] if damage == "folder" else [])


def test_nothing_is_written_where_nobody_may(monkeypatch, tmp_path, folder):
    monkeypatch.setenv(looks.FOLDER, "off")
    of(toy_models())
    forgotten()
    monkeypatch.setenv(looks.FOLDER, str(tmp_path / "a file" / "starts"))
    (tmp_path / "a file").write_text("")
    assert of(toy_models())[1]
    forgotten()
    monkeypatch.setenv(looks.FOLDER, str(folder))
    of(toy_models(), on_disk=False)
    assert not folder.exists()


def test_the_folder_is_bounded(folder, monkeypatch):
    of(toy_models())
    (file,) = folder.iterdir()
    monkeypatch.setattr(looks, "_MOST_BYTES", 3 * file.stat().st_size)
    (folder / "notes.txt").write_text("x" * 10000)  # of the user
    os.utime(file, (1, 1))
    for seed in range(4, 8):
        if seed == 6:  # the first is used once more
            forgotten()
            assert of(toy_models())[1] == []
        of(toy_models(), DRAWN._replace(seed=seed))
        for place, path in enumerate(sorted(folder.glob("*.safetensors"), key=os.path.getmtime)):
            os.utime(path, (10 * seed + place, 10 * seed + place))
    assert file.exists() and len(list(folder.glob("*.safetensors"))) == 3
    assert (folder / "notes.txt").exists()


def test_what_is_cancelled_is_not_remembered(folder):
    models = toy_models()
    book = RandomLooks(models.generator, models.clip, models.clip.encode_image, DRAWN, True)

    def cancel(*_):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        book.features(cancel)
    assert not folder.exists()
    assert of(models)[1] == [8, 8, 4]


PROGRAM = """
import sys, torch
from fice_core import EditSettings, edit, load_models
models = load_models(sys.argv[1])
photo = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
settings = EditSettings(steps=2, start_candidates=12, framing="whole", max_batch=4)
phases = []
result = edit(models, photo, "a red shirt", settings, lambda step: phases.append(step.phase))
torch.save((result.images, result.w_plus, phases.count("start")), sys.argv[2])
"""


def test_an_edit_is_the_same_with_what_is_remembered(folder, monkeypatch):
    """With real networks, in another process too."""
    write_models(folder.parent)

    def edited(name, way):
        out = folder.parent / name
        forgotten()
        monkeypatch.setattr(sys, "argv", ["", str(folder.parent), str(out)])
        way(PROGRAM)
        return torch.load(out)

    def elsewhere(program):
        command = [sys.executable, "-W", "ignore", "-c", program, *sys.argv[1:]]
        # The number of threads decides the last bits, and another test may have changed it here.
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        subprocess.run(command, check=True, env=os.environ | threads)

    def here(program):
        exec(program, {})

    first, again, other = edited("a", here), edited("b", here), edited("c", elsewhere)
    monkeypatch.setenv(looks.FOLDER, "off")
    alone = edited("d", here)
    pieces, tries = 3, again[2]
    assert [first[2], other[2], alone[2]] == [pieces + tries, tries, pieces + tries]
    for images, w_plus, _ in (again, other, alone):
        assert torch.equal(images, first[0]) and torch.equal(w_plus, first[1])


def test_tuned_generators_are_not_remembered(folder):
    models = toy_models()
    settings = EditSettings(steps=2, start_candidates=8, mixed_precision=False)
    critics = {"clip": models.clip, "densepose": models.densepose, "segmenter": models.segmenter}
    invert(models.generator, toy_targets(1, models), settings, **critics, on_disk=False)
    assert not folder.exists()
    forgotten()
    invert(models.generator, toy_targets(1, models), settings, **critics)
    assert len(list(folder.iterdir())) == 1


def test_fused_networks_have_looks_of_their_own(folder):
    """Fusing changes the last bits, so it changes the key."""
    write_models(folder.parent)
    for quick in (True, False):
        forgotten()
        assert of(load_models(folder.parent, quick=quick))[1]
    assert len(list(folder.glob("*"))) == 2
