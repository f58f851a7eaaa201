"""`fice batch` with toy networks, in this process."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from batch_files import random_image, table
from click.testing import CliRunner, Result
from PIL import Image
from toys import toy_models

from fice_core import editing
from fice_core import models as models_module
from fice_core.batch import workers
from fice_core.batch.editor import Editor, Outcome, Setup, Work
from fice_core.batch.journal import Entry, Journal
from fice_core.cli import main
from fice_core.errors import FiceError
from fice_core.persons import selection


class Here:
    """A worker in this process."""

    groups: list[int]

    def __init__(self, setup: Setup) -> None:
        self._editor = Editor(setup)

    def run(self, work: Work) -> Outcome:
        self.groups.append(work.group)
        return workers.accepted(self._editor.answer(work))

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads, Here.groups = torch.get_num_threads(), []
    monkeypatch.setattr(workers, "LocalWorker", Here)
    monkeypatch.setattr(models_module, "load_models", lambda *_, **__: toy_models())
    yield
    torch.set_num_threads(threads)


def batch(listed: Path, out: Path, *options: object) -> Result:
    line = ["batch", listed, "-o", out, "--steps", 2, "--frame", "whole", *options]
    return CliRunner().invoke(main, [str(part) for part in line], catch_exceptions=False)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([""], "no column 'photo'"),
        (["photo,prompt"], "has no row below"),
        (["photo,prompt,colour"], "unknown column 'colour'"),
        (["photo;prompt"], "unknown column 'photo;prompt'"),
        (["photo,prompt,photo"], "the column 'photo' twice"),
        (["photo,output"], "no column 'prompt'"),
        (["photo,prompt", "a.png,red", "a.png,"], "row 3 has no prompt"),
        (["photo,prompt", ",red"], "row 2 has no photo"),
        (["photo,prompt", "a.png,red |"], "row 2: the prompt is empty"),
        (["photo,prompt,negative", "a.png,red,(a:-1)"], "row 2: "),
        (["photo,prompt", "a.png,red, short"], "row 2 has 3 cells, but there are 2 columns"),
        (["photo,prompt", "a.png,red", "b.png,red"], "row 3: there is no file"),
        (["photo,prompt,mask", "a.png,red,m.png"], "row 2: there is no file"),
        (["photo,prompt,person", "a.png,red,-1"], "row 2: the person is '-1'"),
        (["photo,prompt,output", "a.png,red,x.txt"], "row 2: cannot tell the image format"),
        (["photo,prompt,output", "a.png,red,../x.png"], "row 2: the output '../x.png' must be"),
        (["photo,prompt,output", "a.png,red,x.png", "a.png,blue,X.png"], "row 3: the output X.png"),
        (["photo,prompt", "a.png,red", "sub/a.png,red"], "row 3: the output a.png is also that"),
        (["photo,prompt", 'a.png,"red'], "is not a table in CSV"),
    ],
)
def test_mistakes_in_a_table_are_told_before_anything_is_loaded(
    tmp_path: Path, rows: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LocalWorker", None)
    random_image(tmp_path / "a.png")
    random_image(tmp_path / "sub" / "a.png")
    result = batch(table(tmp_path, *rows), tmp_path / "out")
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_batch_is_what_edit_makes(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        random_image(tmp_path / "in" / name)
    random_image(tmp_path / "in" / "c.png", 50, 30)
    result = batch(tmp_path / "in", tmp_path / "out", "--prompt", "a shirt")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [f"{tmp_path / 'out'}: 3 edits"]
    line = ["edit", tmp_path / "in", "-o", tmp_path / "one", "--prompt", "a shirt", "--steps", 2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(editing, "load_models", lambda *_, **__: toy_models())
        edited = CliRunner().invoke(main, [str(part) for part in [*line, "--frame", "whole"]])
    assert edited.exit_code == 0
    for name in ("a.png", "b.png", "c.png"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_a_finished_batch_is_not_made_again_and_another_is_refused(tmp_path: Path) -> None:
    photo = random_image(tmp_path / "in" / "a.png")
    line = (tmp_path / "in", tmp_path / "out", "--prompt", "a shirt")
    assert batch(*line).exit_code == 0
    again = batch(*line, "--workers", 4)
    assert again.exit_code == 0
    assert "1 of 1 edits have been made before" in again.stdout
    assert Here.groups == [0]
    for options in (("--prompt", "a coat"), ("--seed", 1), ("--threads", 2), ("--device", "meta")):
        refused = batch(*line, *options)
        assert refused.exit_code == 2
        assert refused.stderr.count("\n") == 1
    random_image(photo, seed=1)
    refused = batch(*line)
    assert "holds a batch with other jobs or photos: give another folder" in refused.stderr
    assert Here.groups == [0]
    assert batch(*line, "--restart").exit_code == 0
    assert Here.groups == [0, 0]


def test_what_fails_is_told_at_the_end_and_the_others_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "find_persons", lambda *_: [])
    for name in ("a.png", "b.png", "c.png"):
        random_image(tmp_path / name)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:-200])
    (tmp_path / "text.png").write_text("no image")
    Image.new("L", (10, 10), 255).save(tmp_path / "small.png")
    Image.new("L", (40, 40)).save(tmp_path / "black.png")
    path = table(
        tmp_path,
        "photo,prompt,output,mask,person",
        "a.png,red,1.png,,",
        "cut.png,red,2.png,,",
        "text.png,red,3.png,,",
        "b.png,red,4.png,small.png,",
        "b.png,red,5.png,black.png,",
        "b.png,red,6.png,,7",
        "c.png,(red:0),7.png,,",
        "b.png,red,8.png,,",
    )
    for _ in range(2):  # the second time from the journal
        result = batch(path, tmp_path / "out")
        assert result.exit_code == 2
        lines = result.stderr.splitlines()
        assert lines[-1].startswith("fice: 6 of 8 edits failed, see above")
        for line, words in zip(
            lines,
            (
                "damaged",
                "not an image",
                "10 x 10 pixels",
                "is black",
                "no person",
                "cancel out",
                "",
            ),
            strict=True,
        ):
            assert words in line
        assert sorted(found.name for found in (tmp_path / "out").glob("*.png")) == [
            "1.png",
            "8.png",
        ]
    assert len(Here.groups) == len(set(Here.groups))


def test_a_batch_in_which_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "find_persons", lambda *_: [])
    photo = random_image(tmp_path / "in" / "a.png")
    cut = tmp_path / "in" / "b.png"
    cut.write_bytes(photo.read_bytes()[:-200])
    result = batch(tmp_path / "in", tmp_path / "out", "--prompt", "red", "--frame", "person")
    assert result.exit_code == 2
    first, second, last = result.stderr.splitlines()
    assert first.startswith(f"fice: warning: the edit of {photo}: a.png was not made: no person")
    assert f"the edit of {cut}: b.png was not made: the photo is damaged" in second
    assert last == "fice: 2 of 2 edits failed, see above"


def test_a_result_that_was_replaced_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("a.png", "b.png"):
        random_image(tmp_path / name)
    path = table(tmp_path, "photo,prompt", "a.png,red", "b.png,red")
    assert batch(path, out).exit_code == 0
    made = (out / "a.png").read_bytes()
    (out / "a.png").write_bytes(b"mine")
    for _ in range(2):
        result = batch(path, out)
        assert result.exit_code == 2
        assert "1 of 2 edits have been made before" in result.stdout
        line, last = result.stderr.splitlines()
        assert f"row 2: a.png was not made: {out} has another file of this name" in line
        assert last.endswith(f"1 of 2 edits failed, see above; the others are in {out}")
        assert (out / "a.png").read_bytes() == b"mine"
    assert Here.groups == [0]
    result = batch(path, out, "--overwrite")
    assert result.exit_code == 0
    assert result.stderr.count("\n") == 1
    assert f"{out} has other files of these names now: a.png" in result.stderr
    assert (out / "a.png").read_bytes() == made
    (out / "a.png").write_bytes(b"mine")
    assert batch(path, out, "--restart").exit_code == 0
    assert (out / "a.png").read_bytes() == made


def test_a_refused_batch_leaves_no_lock(tmp_path: Path) -> None:
    random_image(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    assert batch(tmp_path / "in", tmp_path / "out", "--prompt", "a shirt").exit_code == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_a_mask_limits_the_edit(tmp_path: Path) -> None:
    photo = random_image(tmp_path / "a.png")
    mask = Image.new("L", (40, 40))
    mask.paste(255, (0, 0, 20, 40))
    mask.save(tmp_path / "m.png")
    path = table(tmp_path, "photo,prompt,mask", "a.png,red,m.png")
    assert batch(path, tmp_path / "out").exit_code == 0
    levels = [np.asarray(Image.open(name)) for name in (photo, tmp_path / "out" / "a.png")]
    same = (levels[0] == levels[1]).all(axis=2)
    assert same[:, 20:].all()
    assert not same.all()


def test_several_prompts_for_one_photo(tmp_path: Path) -> None:
    random_image(tmp_path / "in" / "a.png")
    prompts = ("--prompt", "a shirt", "--prompt", "a coat")
    assert batch(tmp_path / "in", tmp_path / "out", *prompts).exit_code == 0
    assert Here.groups == [0]
    one, two = ((tmp_path / "out" / f"a-{k}.png").read_bytes() for k in (1, 2))
    assert one != two


def test_ways_to_name_the_jobs(tmp_path: Path) -> None:
    random_image(tmp_path / "in" / "a.png")
    assert "give the garment with --prompt" in batch(tmp_path / "in", tmp_path / "out").stderr
    path = table(tmp_path, "photo,prompt", "in/a.png,red")
    assert "leave --prompt out" in batch(path, tmp_path / "out", "--prompt", "x").stderr
    assert "there is no file" in batch(tmp_path / "none.csv", tmp_path / "out").stderr


def test_ctrl_c_is_one_line_and_what_is_done_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(9):
        random_image(tmp_path / "in" / f"{k}.png")
    commit = Journal.commit

    def interrupted(journal: Journal, entry: Entry, results: dict[str, bytes]) -> None:
        commit(journal, entry, results)
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "commit", interrupted)
    result = batch(tmp_path / "in", tmp_path / "out", "--prompt", "a shirt")
    assert result.exit_code == 130
    assert result.stderr.splitlines() == [
        "fice: interrupted: 8 of 9 edits are made, and the same command continues from there"
    ]
    assert len(list((tmp_path / "out").glob("*.png"))) == 8


def test_ray_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_image(tmp_path / "in" / "a.png")
    monkeypatch.setitem(sys.modules, "ray", None)
    result = batch(tmp_path / "in", tmp_path / "out", "--prompt", "a shirt", "--ray", "auto")
    assert result.exit_code == 2
    assert "`pip install ray`" in result.stderr


def test_models_that_cannot_be_loaded_end_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise FiceError("e4e.pt is damaged")

    monkeypatch.setattr(models_module, "load_models", broken)
    random_image(tmp_path / "in" / "a.png")
    result = batch(tmp_path / "in", tmp_path / "out", "--prompt", "a shirt")
    assert result.exit_code == 2
    assert result.stderr == "fice: e4e.pt is damaged\n"
    assert not list((tmp_path / "out").glob("*.png"))
