"""The measurement of masks: its index, its rows and its command."""

import json

import pytest
import torch
from click.testing import CliRunner

from fice_core.cli import main
from fice_core.errors import FiceError
from fice_core.evaluation import evaluator
from fice_core.evaluation.mask_quality import MaskReport, MaskRow, measure_masks
from fice_core.evaluation.metrics import mask_iou
from fice_core.models import load_models


def test_iou_by_hand():
    mask = torch.tensor([[1.0, 0.6, 0.4, 0], [0, 0, 0, 0]])[:, None, None]
    truth = torch.tensor([[0.0, 1, 1, 0], [0, 0, 0, 0]])[:, None, None]
    assert mask_iou(mask, truth).tolist() == pytest.approx([1 / 3, 1])


def test_table():
    report = MaskReport(8, 512, [MaskRow("body", "networks", 0.96251, 0.98333, 0.9712)])
    assert report.table().splitlines()[2] == "| body | networks | 0.963 | 0.983 | 0.971 |"
    assert report.to_dict()["rows"][0]["source"] == "networks"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("masks") / "masks.json"
    done = CliRunner().invoke(main, ["evaluate", "--masks", "--count", "3", "--report", str(path)])
    assert done.exit_code == 0, done.output
    assert "| body | networks |" in done.output
    return json.loads(path.read_text())


def test_refined_masks_of_the_demonstration_are_exact(report):
    assert report["size"] == 512 and report["count"] == 3
    rows = {(row["mask"], row["source"]): row for row in report["rows"]}
    assert len(rows) == 3 * 4
    for row in rows.values():
        assert row["worst"] <= row["refined"]
    for name in ("body", "head", "torso and arms", "garment"):
        assert rows[name, "networks"]["refined"] > rows[name, "networks"]["interpolated"]
    for name in ("body", "head"):
        assert rows[name, "networks"]["worst"] > 0.95
    for name in ("body", "head", "garment"):
        assert rows[name, "truth, 112 px"]["worst"] > 0.98


def test_masks_of_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluator, "_DRAWN_SIZE", 0)
    found = measure_masks(load_models("demo"), 1)
    assert found.size == 512
    rows = {(row.mask, row.source): row for row in found.rows}
    for name in ("body", "head", "torso and arms", "garment"):
        # the truth itself, shrunk and enlarged
        assert rows[name, "truth, 128 px"].refined > 0.9


def test_wrong_arguments_are_refused():
    models = load_models("demo")
    with pytest.raises(FiceError, match="at least 1"):
        measure_masks(models, 0)
    with pytest.raises(FiceError, match="scale is 1"):
        measure_masks(models, 1, scale=1)
    done = CliRunner().invoke(main, ["evaluate", "--masks", "--steps", "3"])
    assert done.exit_code == 2 and "--masks edits nothing" in done.output
