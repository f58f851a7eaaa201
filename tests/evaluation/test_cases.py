"""Pairs of people and wishes, and the people who are rendered for an evaluation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fice_core.demo.gallery import gallery
from fice_core.errors import FiceError
from fice_core.evaluation import held_out
from fice_core.evaluation.cases import PATTERNS, SLEEVES, PeopleCases, cases
from fice_core.ops.color import to_lab
from fice_core.people.captions import colour_name
from fice_core.people.colours import COLOURS
from fice_core.people.pool import shard_path, write_shard
from fice_core.people.record import to_bytes
from fice_core.people.render import check_settings
from fice_core.people.sampling import person_from_code

PEOPLE = [gallery()[k] for k in range(14)]


@pytest.fixture(scope="module")
def some() -> PeopleCases:
    return cases(40, people=PEOPLE)


def test_cases_ask_for_a_change_and_repeat(some: PeopleCases) -> None:
    assert len(some) == len(some.prompts) == 40
    assert some.wanted == cases(40, people=PEOPLE).wanted
    assert some.wanted != cases(40, seed=1, people=PEOPLE).wanted
    for who, (colour, pattern, sleeve) in zip(some.people, some.wanted, strict=True):
        person = person_from_code(who.code)
        assert colour not in {colour_name(person.top_texture.colour)[0], who.facts.colour}
        skin = to_lab(person.look.skin)
        assert np.linalg.norm(to_lab(np.array(COLOURS[colour])) - skin) > 32
        assert pattern in PATTERNS and sleeve in SLEEVES
        assert who.facts.kind != "dress" or pattern != "print"
    assert {s for _, _, s in some.wanted} == set(SLEEVES)
    assert len({p for _, p, _ in some.wanted}) == len(PATTERNS)


def test_everybody_comes_once_before_one_comes_again(some: PeopleCases) -> None:
    names = [who.name for who in some.people]  # type: ignore[attr-defined]
    fit = len(set(names))
    assert fit >= 10
    assert len(set(names[:fit])) == fit and len(set(names[fit : 2 * fit])) == fit


def test_bare_cases_go_from_long_sleeves_to_less() -> None:
    bare = cases(12, bare=True, people=PEOPLE)
    assert all(who.facts.sleeve == "long" for who in bare.people)
    assert {sleeve for _, _, sleeve in bare.wanted} == {"short", "sleeveless"}
    assert all(bare.sitting(slice(0, 2), 64).becomes_bare())


def test_a_dress_is_asked_for_where_one_is_worn(some: PeopleCases) -> None:
    for who, text in zip(some.people, some.prompts, strict=True):
        assert text.endswith(" dress") == (who.facts.kind == "dress")


def test_a_sitting_knows_its_people(some: PeopleCases) -> None:
    sitting = some.sitting(slice(2, 4), 64)
    assert sitting.truth.images.shape == (2, 3, 64, 64)
    assert len(sitting.measure(sitting.truth.images)) == 2
    for value in (*sitting.drift(sitting.truth.images), sitting.bare_skin(sitting.truth.images)):
        assert value.shape == (2,)
    other = some.recoloured(slice(2, 4), 64)
    changed = (other - sitting.truth.images).abs().mean(1)
    garment, wall = sitting.truth.garment[:, 0] > 0.99, sitting.truth.background[:, 0] > 0.99
    assert changed[garment].mean() > 5 * changed[wall].mean()


def test_wrong_counts_are_told() -> None:
    with pytest.raises(FiceError, match="at least 1"):
        cases(0, people=PEOPLE)
    with pytest.raises(FiceError, match="nobody"):
        cases(1, people=[])


def test_rendered_people_are_read_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as were rendered before need no renderer."""
    settings = {
        "format": 1, "size": held_out.SIZE, "seed": held_out.SEED, "samples": 16,
        "code": len(PEOPLE[0].code),
    }  # fmt: skip
    check_settings(tmp_path, settings)
    blobs = {f"{k:06d}": to_bytes(PEOPLE[k].record()) for k in range(2)}
    write_shard(shard_path(tmp_path, 0), blobs)
    monkeypatch.setenv(held_out.FOLDER, str(tmp_path))
    found = held_out.held_out_people(2)
    assert [who.facts for who in found] == [PEOPLE[k].facts for k in range(2)]
    who = found[1].portrait(64)
    torch.testing.assert_close(
        torch.from_numpy(who.region("garment")),
        torch.from_numpy(PEOPLE[1].portrait(64).region("garment")),
        atol=0.35,
        rtol=0,
    )
    assert held_out.held_out_people(0) == []
    assert len(cases(3, people=found)) == 3


def test_renders_lie_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(held_out.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert held_out.default_folder() == tmp_path / "fice" / "people"
