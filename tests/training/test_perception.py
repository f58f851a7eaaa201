"""Fine-tuning of segmenter, CLIP and DensePose on a tiny data set: losses, resuming, two processes."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command
import dataset_files
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import WORDS
from torch import nn
from training_toys import on_one, on_two

from fice_core import checkpoints
from fice_core.datasets import open_photos
from fice_core.datasets.labels import UNKNOWN
from fice_core.errors import FiceError
from fice_core.networks.clip import Clip
from fice_core.networks.densepose import DensePose
from fice_core.networks.regions import NAMED
from fice_core.networks.segmenter import Segmenter
from fice_core.training import clip, densepose, segmenter
from fice_core.training.dice import Dice
from fice_core.training.distributed import Processes, generator_of
from fice_core.training.examples import moved, photographed, size_of
from fice_core.training.fine_tuning import Outcome, Tuning, uses_half
from fice_core.training.loop import Schedule
from fice_core.training.photos import Photos

LABELS = ("background", "upper", "face", "arms")
COLOURS = ((40, 40, 40), (220, 40, 40), (230, 190, 150), (60, 200, 60))
TUNING = Tuning(batch=4, rate=1e-2, log_every=1, half=False)


def number(name: str) -> int:
    return NAMED.index(name)


def seeded(build: Callable[[], Any]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def tiny_segmenter(labels: tuple[str, ...] = LABELS) -> Segmenter:
    return seeded(
        lambda: Segmenter(
            stem_channels=4,
            width=2,
            blocks=(1, 1, 1, 1),
            aspp_channels=6,
            aspp_rates=(1, 2, 3),
            dropout=0.0,
            labels=labels,
        )
    )


def tiny_clip() -> Clip:
    return seeded(
        lambda: Clip(
            embed_dim=16,
            vision_cfg={"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
            text_cfg={"context_length": 8, "width": 64, "heads": 1, "layers": 2},
            vocabulary=WORDS,
        )
    )


def tiny_densepose() -> DensePose:
    return seeded(lambda: DensePose(4, 2, (1, 1, 1, 1), 6, 6, "s1x", 1, 8, 2, 7))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of coloured rectangles, in which every class has its colour."""
    folder = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    captions = {}
    for k in range(12):
        labels = np.zeros((32, 32), np.uint8)
        left = int(draw.integers(4, 14))
        labels[12:, left : left + 14] = 1
        labels[3:12, left + 3 : left + 11] = 2
        labels[14:26, left - 3 : left] = 3
        colours = np.array(COLOURS)
        if k % 2:
            colours[1] = (40, 40, 220)
        pixels = np.clip(colours[labels] + draw.normal(0, 8, (32, 32, 3)), 0, 255)
        dataset_files.labels_file(folder / "labels" / f"{k}.png", labels)
        parts = np.array([0, 2, 24, 17], np.uint8)[labels]
        dataset_files.labels_file(folder / "densepose" / f"{k}.png", parts)
        (folder / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{k}.png")
        captions[f"{k}.png"] = "a blue shirt" if k % 2 else "a red shirt with unheard buttons"
    dataset_files.text(folder / "labels" / "classes.json", [*LABELS])
    dataset_files.text(folder / "captions.json", captions)
    return folder


def train_segmenter(
    processes: Processes, folder: Path, data: Path, steps: int, minutes: float | None = None
) -> Outcome[Any]:
    schedule = Schedule(steps, minutes, 1000)
    return segmenter.train(
        tiny_segmenter(), open_photos(str(data)), folder, schedule, TUNING, processes, share=0.25
    )


def train_clip(processes: Processes, folder: Path, data: Path, steps: int) -> Outcome[Any]:
    return clip.train(
        tiny_clip(),
        open_photos(str(data)),
        folder,
        Schedule(steps),
        Tuning(batch=4, rate=1e-3, log_every=1, half=False),
        processes,
        share=0.3,
    )


def train_densepose(processes: Processes, folder: Path, data: Path, steps: int) -> Outcome[Any]:
    return densepose.train(
        tiny_densepose(),
        None,
        open_photos(str(data)),
        folder,
        Schedule(steps),
        TUNING,
        processes,
        share=0.25,
    )


def losses(folder: Path, name: str) -> list[float]:
    lines = (folder / f"{name}.jsonl").read_text().splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]


def assert_same_weights(one: nn.Module, other: nn.Module, **tolerance: float) -> None:
    for key, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, **tolerance)


def test_a_label_means_its_channels_or_what_is_nearest_to_them() -> None:
    channels = ("background", "face", "hair", "upper", "lower", "shoes", "shoes")
    table = segmenter.meanings(channels)

    def meant(label: str) -> list[str]:
        return [c for c, yes in zip(channels, table[number(label)].tolist(), strict=True) if yes]

    assert meant("upper") == ["upper"]
    assert meant("shoes") == ["shoes", "shoes"]
    assert meant("head") == ["face", "hair"]
    assert meant("clothes") == ["upper", "lower"]
    assert meant("hat") == ["face", "hair"]  # no channel of its own: any of the head
    assert meant("arms") == ["upper", "lower", "shoes", "shoes"]
    assert meant("background") == ["background"]
    coarse = segmenter.meanings(("background", "head", "body"))
    assert coarse[number("face")].tolist() == [False, True, False]
    assert coarse[number("dress")].tolist() == [False, False, True]
    assert coarse[number("body")].tolist() == [False, False, True]
    assert table.any(1).all()


def test_class_loss_is_the_surprise_at_all_that_a_label_may_mean() -> None:
    channels = ("background", "face", "hair", "upper")
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().view(1, 4, 1, 1).expand(1, 4, 1, 3)
    labels = torch.tensor([[[number("head"), number("upper"), UNKNOWN]]])
    weights = torch.ones(256)
    weights[number("upper")] = 3.0
    loss = segmenter.class_loss(logits, labels, segmenter.meanings(channels), weights)
    assert float(loss) == pytest.approx((-math.log(0.5) - 3 * math.log(0.4)) / 4)
    nothing = torch.full_like(labels, UNKNOWN)
    assert segmenter.class_loss(logits, nothing, segmenter.meanings(channels), weights) == 0


def test_rare_labels_weigh_more(data: Path) -> None:
    samples = open_photos(str(data))
    examples = Photos(samples, (32, 32), type(samples[0]).classes, len(NAMED))
    weights = segmenter.label_weights(examples)
    # 280, 72 and 36 pixels of 1024; the median of the four shares is the lower middle one.
    background, upper, face, arms = (weights[number(name)] for name in LABELS)
    assert face == 1
    assert upper == pytest.approx((72 / 280) ** 0.5)
    assert arms == pytest.approx(2**0.5)
    assert background == 0.5  # not less
    assert weights[number("hair")] == 0
    assert weights[UNKNOWN] == 0


def test_images_and_labels_move_alike() -> None:
    labels = torch.zeros(1, 32, 32, dtype=torch.uint8)
    labels[:, 8:24, 4:12] = 3
    image = labels[:, None].float() / 3
    image = image.expand(1, 3, 32, 32)
    seen = set()
    for seed in range(8):
        pixels, turned = moved(image, labels, Dice(generator_of(seed), 1))
        assert turned is not None
        known = turned != UNKNOWN
        assert ((pixels[:, 0] > 0.5) == (turned == 3))[known].float().mean() > 0.97
        columns = (turned[0] == 3).nonzero()[:, 1].float()
        seen.add(bool(columns.mean() > 15.5))
        assert torch.equal(turned, moved(image, labels, Dice(generator_of(seed), 1))[1])  # type: ignore[arg-type]
    assert seen == {True, False}  # some are mirrored
    swap = torch.arange(256)
    swap[3] = 4
    found = [moved(image, labels, Dice(generator_of(s), 1), swap)[1] for s in range(8)]
    assert {int(t[t != UNKNOWN].max()) for t in found if t is not None} == {3, 4}
    harmed = photographed(image, Dice(generator_of(0), 1))
    assert harmed.shape == image.shape
    assert float(harmed.min()) >= 0
    assert float(harmed.max()) <= 1


def test_the_segmenter_learns_and_says_how_well(data: Path, tmp_path: Path) -> None:
    outcome = on_one(train_segmenter, tmp_path, data, 40)
    assert outcome.finished
    assert outcome.after["classes"] > outcome.before["classes"] + 0.05
    values = losses(tmp_path, "segmenter")
    assert np.mean(values[-8:]) < 0.75 * np.mean(values[:8])


def test_iou_is_that_of_all_held_out_pixels(data: Path) -> None:
    class Truth(Segmenter):
        """Finds colours, but takes the lower half of the image for background."""

        def logits(self, images: torch.Tensor) -> torch.Tensor:
            colours = torch.tensor(COLOURS).float() / 255
            away = (images[:, None] - colours[None, :, :, None, None]).square().sum(2)
            blue = (images - torch.tensor([40, 40, 220])[None, :, None, None] / 255).square().sum(1)
            away[:, 1] = torch.minimum(away[:, 1], blue)
            away[:, 0, 16:] = -1
            return -100 * away

    samples = open_photos(str(data))
    examples = Photos(samples, (32, 32), type(samples[0]).classes, len(NAMED))
    network = Truth(**tiny_segmenter().config)
    figures = segmenter.measure(network, examples, torch.device("cpu"))
    assert figures["head"] == pytest.approx(1, abs=0.02)
    # Of 20 rows of the garment 4 are above the middle, of 12 of an arm 2.
    assert figures["body"] == pytest.approx((4 * 14 + 2 * 3) / (20 * 14 + 12 * 3), abs=0.01)
    told = [figures["head"], 4 / 20, 2 / 12]
    background = (1024 - 280 - 72 - 36) / (1024 - 72 - 62)
    assert figures["classes"] == pytest.approx(np.mean([*told, background]), abs=0.02)


def test_a_run_that_is_resumed_is_the_same(data: Path, tmp_path: Path) -> None:
    whole = on_one(train_segmenter, tmp_path / "whole", data, 6)
    first = on_one(train_segmenter, tmp_path / "parts", data, 6, 1e-9)
    assert not first.finished
    second = on_one(train_segmenter, tmp_path / "parts", data, 6)
    assert_same_weights(whole.network, second.network, rtol=0, atol=0)
    assert second.before == whole.before
    assert losses(tmp_path / "parts", "segmenter") == losses(tmp_path / "whole", "segmenter")


def _curve(processes: Processes, folder: Path, train: Any, data: Path, steps: int) -> Any:
    outcome = train(processes, folder, data, steps)
    return outcome.network.state_dict()


@pytest.mark.parametrize("train", [train_segmenter, train_clip, train_densepose])
def test_two_processes_train_as_one(train: Any, data: Path, tmp_path: Path) -> None:
    name = train.__name__.removeprefix("train_")
    on_one(_curve, tmp_path / "one", train, data, 5)
    one, other = on_two(_curve, tmp_path / "two", train, data, 5)
    for key, value in one.items():
        assert torch.equal(value, other[key])
    expected = losses(tmp_path / "one", name)
    assert losses(tmp_path / "two", name) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("capability", "half"), [((7, 5), False), ((8, 0), True)])
def test_bfloat16_is_for_gpus_that_do_not_emulate_it(
    capability: tuple[int, int], half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)  # also by emulation
    assert uses_half(Tuning(batch=1, rate=1.0), torch.device("cuda")) is half


def test_clip_learns_which_caption_belongs_to_which_photo(data: Path, tmp_path: Path) -> None:
    outcome = on_one(train_clip, tmp_path, data, 40)
    assert outcome.after["caption to photo"] == 1
    assert outcome.after["photo to caption"] == 1
    assert 0.4 < outcome.after["by chance"] <= 0.6


def test_captions_are_cut_to_what_clip_reads(data: Path) -> None:
    network = tiny_clip()
    long = " ".join(["red", "shirt"] * 6)
    assert clip.shortened(network.tokenizer, long) == "red shirt red shirt red shirt"
    assert clip.shortened(network.tokenizer, "a red shirt") == "a red shirt"
    captions = clip.usable_captions(network, open_photos(str(data)))
    assert captions["1"] == ("a blue shirt",)


def test_frozen_layers_keep_their_weights(data: Path, tmp_path: Path) -> None:
    network = tiny_clip()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    clip.train(
        network,
        open_photos(str(data)),
        tmp_path,
        Schedule(2),
        Tuning(batch=4, rate=1e-2, half=False),
        share=0.3,
        frozen=0.5,
    )
    changed = {key for key, value in network.state_dict().items() if not value.equal(before[key])}
    assert not [key for key in changed if "resblocks.0" in key or "embedding" in key]
    assert "model.visual.conv1.weight" not in changed
    assert {"model.text_projection", "model.visual.proj"} <= changed
    assert [key for key in changed if "resblocks.1" in key]


def test_densepose_learns_from_label_maps(data: Path, tmp_path: Path) -> None:
    outcome = on_one(train_densepose, tmp_path, data, 40)
    assert outcome.after["person"] > outcome.before["person"]
    values = losses(tmp_path, "densepose")
    assert np.mean(values[-8:]) < 0.7 * np.mean(values[:8])


def test_densepose_learns_from_a_teacher(data: Path, tmp_path: Path) -> None:
    teacher = tiny_densepose()
    outcome = densepose.train(
        tiny_densepose(), teacher, open_photos(str(data)), tmp_path, Schedule(1), TUNING, share=0.25
    )
    # It is its own teacher, so before the first step it agrees in everything.
    assert outcome.before == {"person": 1.0, "parts": 1.0} or outcome.before["parts"] in (0.0, 1.0)
    images = torch.rand(2, 3, 32, 32, generator=generator_of(0))
    found = densepose.probabilities(teacher, images)
    assert found.shape == (2, 25, 28, 28)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 28, 28))
    torch.testing.assert_close(found[:, 15:], teacher(images)[:, 4:], rtol=0.2, atol=0.05)


def test_part_loss_is_the_cross_entropy_of_parts_and_person() -> None:
    coarse = torch.tensor([0.3, 0.7]).log().view(1, 2, 1, 1).expand(1, 2, 1, 2)
    fine = torch.full((1, 25, 1, 2), 1 / 25).log()
    target = torch.zeros(1, 25, 1, 2)
    target[:, 0, :, 0], target[:, 5, :, 1] = 1, 1
    known = torch.ones(1, 1, 1, 2)
    each = [math.log(25) - math.log(0.3), math.log(25) - math.log(0.7)]
    assert float(densepose.part_loss(coarse, fine, target, known)) == pytest.approx(np.mean(each))
    known[..., 0] = 0
    assert float(densepose.part_loss(coarse, fine, target, known)) == pytest.approx(each[1])


def test_right_is_left_in_a_mirror() -> None:
    table = densepose.mirrored_labels()
    assert table[:3].tolist() == [0, 1, 2]  # torso
    assert table[[3, 4, 15, 16, 23, 24]].tolist() == [4, 3, 16, 15, 24, 23]
    assert table[table].tolist() == list(range(256))


def test_sizes_are_those_of_the_photos(data: Path, tmp_path: Path) -> None:
    samples = open_photos(str(data))
    assert size_of(samples, None) == (32, 32)
    assert size_of(samples, 100) == (96, 96)
    dataset_files.photo(tmp_path / "a.png", size=(70, 33))
    assert size_of(open_photos(str(tmp_path)), None) == (64, 32)


def test_commands_write_networks_that_can_be_loaded(data: Path, tmp_path: Path) -> None:
    networks = {
        "segmenter": (tiny_segmenter(), checkpoints.load_segmenter, "body"),
        "clip": (tiny_clip(), checkpoints.load_clip, "caption to photo"),
        "densepose": (tiny_densepose(), checkpoints.load_densepose, "person"),
    }
    for kind, (network, load, figure) in networks.items():
        start, out = tmp_path / f"start-{kind}.safetensors", tmp_path / f"{kind}.safetensors"
        checkpoints.save(network, start)
        options = (
            "--start",
            start,
            "--steps",
            2,
            "--batch",
            4,
            "--held-out",
            0.3,
            "--device",
            "cpu",
        )
        result = command.fice("train", kind, data, "-o", out, *options)
        assert f"on held-out photos, {figure}: " in result.stdout, result.output
        assert " -> " in result.stdout
        assert isinstance(load(out), type(network))
        line = command.mistake("train", kind, data, "-o", out, "--overwrite", *options)
        assert "has a checkpoint of an earlier run: add --resume" in line
        other = command.mistake("train", kind, data, "-o", out, "--resume", *options, "--seed", 5)
        assert "was made with seed 0, not 5" in other


def test_data_that_does_not_serve_is_one_line(data: Path, tmp_path: Path) -> None:
    for k in range(3):
        dataset_files.photo(tmp_path / "in" / f"{k}.png", 40 * k, (32, 32))
    source, out = tmp_path / "in", tmp_path / "out.safetensors"
    for kind, message in (
        ("segmenter", "there are no photos with a label map"),
        ("clip", "there are no photos with a caption"),
        ("densepose", r"there are no photos with label maps of DensePose \(or give a teacher\)"),
    ):
        line = command.mistake("train", kind, source, "-o", out, "--run", tmp_path / kind)
        assert line.startswith(message.replace("\\", "")), line
    for k in range(3):
        labels = dataset_files.label_map([0, 1], (32, 32))
        dataset_files.labels_file(source / "labels" / f"{k}.png", labels)
    dataset_files.text(source / "labels" / "classes.json", ["background", "body"])
    line = command.mistake("train", "segmenter", source, "-o", out, "--run", tmp_path / "s2")
    assert line.startswith("the label maps have no head")
    assert "must end in .safetensors" in command.mistake("train", "clip", data, "-o", "x.pt")
    with pytest.raises(FiceError, match="fewer than a batch of 32"):
        clip.train(
            tiny_clip(),
            open_photos(str(data)),
            tmp_path / "c",
            Schedule(1),
            Tuning(batch=32, rate=1e-3),
        )
