"""The evaluation's cases, numbers and table."""

from dataclasses import replace

import pytest
import torch

from fice_core.demo.attributes import sleeve_class
from fice_core.demo.captions import nearest_colour
from fice_core.demo.gallery import gallery
from fice_core.errors import FiceError
from fice_core.evaluation import evaluator
from fice_core.evaluation.drawn import cases
from fice_core.evaluation.evaluator import evaluate, variants
from fice_core.evaluation.tables import ScoreTable, Tally, VariantScores
from fice_core.models import load_models
from fice_core.settings import EditSettings


def test_cases_ask_for_a_change_and_repeat() -> None:
    first, second = cases(40), cases(40)
    assert first.prompts == second.prompts and len(first) == 40 == len(first.figures)
    assert torch.equal(first.figures.colour, second.figures.colour)
    worn, _ = nearest_colour(first.figures.colour)
    assert all(a != b for a, b in zip(worn, first.colours, strict=True))
    assert len(set(first.patterns)) == 5 and len(set(first.sleeves)) == 3
    assert cases(40, seed=1).prompts != first.prompts
    with pytest.raises(FiceError, match="at least 1"):
        cases(0)


def test_variants_each_take_one_part_away() -> None:
    rows = variants(EditSettings())
    assert rows["paper"] == EditSettings.paper() and rows["draft"] == EditSettings.draft()
    assert rows["no pose term"].weights.pose == 0 and rows["no pose term"].weights.image > 0
    assert rows["no latent term"].weights.latent == rows["no latent term"].weights.latent_prior == 0
    assert rows["no stitching"].stitch == "none"
    alone = rows["garment alone"]
    assert alone.hold and alone.refine_steps > 0 and alone.tune_steps > 0


def test_bare_cases_go_from_long_sleeves_to_less() -> None:
    some = cases(12, bare=True)
    assert (sleeve_class(some.figures) == 2).all()
    assert set(some.sleeves) == {"short", "sleeveless"}


def test_people_are_edited_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """From people to the table, by networks that know drawn figures."""
    monkeypatch.setattr(evaluator, "_DRAWN_SIZE", 0)
    people = [gallery()[k] for k in (0, 4, 17)]
    kept: list[tuple[str, list[str], torch.Size]] = []
    table = evaluate(
        load_models("demo"),
        3,
        EditSettings(steps=2),
        ["default"],
        keep=lambda name, texts, before, after: kept.append((name, texts, after.shape)),
        people=people,
    )
    assert kept[0][0] == "default" and len(kept[0][1]) == 3 and kept[0][2] == (3, 3, 128, 128)
    row = table.rows[0]
    assert 0 <= row.pose_iou <= 1 and row.outside_equal == 1 and row.background_change >= 0
    assert row.trousers_drift is not None and row.trousers_drift > 0
    assert 0 < table.untouched_iou < 1
    assert len(row.failures) <= 3


def test_means_leave_out_what_is_not_there() -> None:
    tally = Tally()
    tally.hits, tally.steps = [(True, True, True)] * 2, [1]
    nothing = float("nan")
    tally.numbers = [(0.5, 1, 1, nothing, nothing, 0), (0.7, 1, 1, 4.0, nothing, 0)]
    row = tally.row("default")
    assert (row.trousers_drift, row.background_drift) == (4.0, None)
    assert "| 4.00 | – |" in ScoreTable(2, 0.9, [row]).surroundings()


def test_surroundings_have_a_line_for_every_variant() -> None:
    row = VariantScores(
        "default", 1, 1, 1, 1, 1.0, 0, 0, 100, 3, [], 4.101, 1.35, 0.5, (11, 12), (3, 4), 3.44
    )
    none = replace(row, variant="paper", to_short=(0, 0), to_none=(0, 0), bare_skin=None)
    lines = ScoreTable(64, 0.9, [row, none]).surroundings().splitlines()
    assert lines[2] == "| default | 4.10 | 1.35 | 0.50 | 11 of 12 | 3 of 4 | 3.4 |"
    assert lines[3] == "| paper | 4.10 | 1.35 | 0.50 | 0 of 0 | 0 of 0 | – |"
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")


def test_skin_is_compared_where_the_sleeves_are_gone() -> None:
    tally = Tally()
    tally.hits, tally.numbers, tally.steps = [(True, True, True)], [(0.0,) * 6], [1]
    tally.bare = [("short", True, 2.0), ("short", False, 40.0), ("sleeveless", True, 4.0)]
    row = tally.row("default")
    assert (row.to_short, row.to_none, row.bare_skin) == ((1, 2), (1, 1), 3.0)


def test_table_has_a_line_for_every_variant() -> None:
    row = VariantScores(
        "default", 0.953125, 0.9, 0.8, 0.8765, 1.0, 0.25, 0.0, 100, 3.21, ["a red shirt: blue"]
    )
    everywhere = replace(row, variant="no stitching", outside_equal=None)
    report = ScoreTable(64, 0.9, [row, everywhere])
    lines = report.table().splitlines()
    assert (
        lines[2]
        == "| default | 95.3 % | 90.0 % | 80.0 % | 0.876 | 100 % | 0.25 | 0.00 | 100 | 3.2 |"
    )
    assert lines[3].startswith("| no stitching |") and " | – | 0.25 |" in lines[3]
    assert lines[-1].endswith("0.900")
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert report.to_dict()["rows"][0]["failures"] == ["a red shirt: blue"]
