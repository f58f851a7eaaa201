"""`python -m fice_core.people.gallery`, with renders that are there already."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fice_core.demo.gallery import Gallery, gallery
from fice_core.people import gallery as command
from fice_core.people.cast import CAST, CASTS, Member
from fice_core.people.compose import own_image
from fice_core.people.record import to_bytes


@pytest.fixture
def renders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the renders of a cast of two, at 256 pixels."""
    cast = (CAST[0], Member(CAST[1].number, "teal", "dots"))
    monkeypatch.setitem(CASTS, "gallery", cast)
    for k, member in enumerate(cast):
        record = gallery()[k].record()
        command.write_blobs(tmp_path / f"{member.key}.zip", to_bytes(record))
    return tmp_path


def made(renders: Path, out: Path) -> dict[str, bytes]:
    done = CliRunner().invoke(command.main, [str(out), "--renders", str(renders)])
    assert done.exit_code == 0, done.output
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_same_renders_give_the_same_gallery(renders: Path, tmp_path: Path) -> None:
    first, second = made(renders, tmp_path / "a"), made(renders, tmp_path / "b")
    assert first == second
    assert sorted(first) == ["01.jpg", "02.jpg", "people.json", "truth.zip"]
    people = Gallery(tmp_path / "a")
    assert people[0].facts == gallery()[0].facts
    assert (people[1].facts.colour, people[1].facts.pattern) == ("teal", "dots")
    assert people[1].facts.sleeve == gallery()[1].facts.sleeve
    shown, _ = own_image(gallery()[0].record())
    assert np.abs(people[0].image / 255 - shown).mean() < 0.01


def test_every_member_has_a_code_of_its_own() -> None:
    codes = np.stack([member.code() for member in CAST])
    assert len({member.number for member in CAST}) == len(CAST)
    assert np.abs(np.corrcoef(codes) - np.eye(len(CAST))).max() < 0.6
