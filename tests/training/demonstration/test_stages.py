"""Training: losses by hand, resuming, averages, and the stages on a few people."""

import math
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from fice_core import checkpoints
from fice_core.errors import FiceError
from fice_core.networks.stylegan2 import Generator
from fice_core.people.attributes import PATTERNS
from fice_core.people.captions import NOTHING, Facts, facts, told
from fice_core.people.code import CODE_DIM, slices
from fice_core.people.compose import compose, mean_albedo, painted
from fice_core.people.maths import linear
from fice_core.people.numbers import numbers
from fice_core.people.pool import Pool
from fice_core.people.sampling import person_from_code
from fice_core.people.textures import ink
from fice_core.training.demonstration import adversarial, clip, encoder, perception, stages
from fice_core.training.demonstration import generator as generator_stage
from fice_core.training.demonstration.clip import (
    attack,
    changed,
    contrastive_loss,
    numbered,
    photographed,
    placed,
    recolour,
    truth,
)
from fice_core.training.demonstration.dataset import (
    OUTFITS,
    WAVES,
    People,
    compose_all,
    marks,
    outfits,
    recoloured,
    settled,
    waves,
)
from fice_core.training.demonstration.discriminator import Discriminator
from fice_core.training.demonstration.fakes import make
from fice_core.training.demonstration.feature_losses import (
    BodyLoss,
    ClothLoss,
    JointLoss,
    body_shares,
)
from fice_core.training.demonstration.generator import (
    APPEARANCE_LAYER,
    WARDROBE,
    grown,
    importance,
    jitter,
    reconstruction_loss,
    smaller,
    spread_over_layers,
    taught,
)
from fice_core.training.demonstration.wardrobe import AttributeMapping, Crowd, crowd
from fice_core.training.loop import Average, Schedule, Stage, cosine


def test_contrastive_loss_by_hand() -> None:
    image = torch.eye(2)
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    true = torch.tensor([[True, False], [False, True], [True, False]])
    scale = torch.tensor(2.0)
    # rows: every caption has one true image, logits (2, 0): -log(e^2 / (e^2 + 1))
    row = math.log(1 + math.exp(-2))
    # columns: image 0 has two true captions of logit 2 and a false one of 0; image 1 one and two
    columns = (math.log(1 + math.exp(-2) / 2) + math.log(1 + 2 * math.exp(-2))) / 2
    loss = contrastive_loss(image, text, scale, true, ~true)
    assert float(loss) == pytest.approx((row + columns) / 2, rel=1e-6)


def test_contrastive_loss_ignores_undecided_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    image, text = (
        nn.functional.normalize(torch.randn(4, 8, generator=generator)) for _ in range(2)
    )
    true = torch.eye(4, dtype=torch.bool)
    false = ~true
    false[0, 1] = False
    scale = torch.tensor(5.0)
    # one competitor less in a row and in a column: a smaller loss
    assert contrastive_loss(image, text, scale, true, false) < contrastive_loss(
        image, text, scale, true, ~true
    )


def test_facts_loss_by_hand() -> None:
    loss = clip.FactLoss(4)
    with torch.no_grad():
        for reader in loss.readers.values():
            reader.weight.zero_()
            reader.bias.zero_()
        loss.readers["colour"].bias[3] = 2.0
    unknown = [-1] * 9
    known = torch.tensor([[3, *unknown[1:]], [-1, 0, *unknown[2:]], unknown])
    colour = math.log(math.exp(2) + len(clip.VALUES["colour"]) - 1) - 2
    pattern = math.log(len(PATTERNS))
    value = loss(F.normalize(torch.ones(3, 4)), known).detach()
    assert float(value) == pytest.approx((colour + pattern) / 2)
    assert float(loss(torch.ones(1, 4), torch.tensor([unknown])).detach()) == 0


def test_changed_people_differ_in_one_fact_and_their_captions_are_false() -> None:
    rng = np.random.default_rng(0)
    known = replace(NOTHING, colour="red", pattern="stripes", sleeve="short", kind="t-shirt")
    fields_changed = {"sleeve": 0, "pattern": 0, "colour": 0}
    for _ in range(300):
        other = changed(known, rng)
        (field,) = (f for f in fields_changed if getattr(other, f) != getattr(known, f))
        fields_changed[field] += 1
        kinds = {"sleeveless": "tank top", "elbow": None, "long": "top"}
        assert other.kind == (kinds[other.sleeve] if field == "sleeve" else "t-shirt")
        said = told(other, rng)[1]
        tells = getattr(said, field) is not None or (field == "sleeve" and said.kind is not None)
        true, false = truth(numbered([said]), numbered([known]))
        assert bool(false) == tells and bool(true) != tells
    assert abs(fields_changed["sleeve"] / 300 - 0.6) < 0.1 and min(fields_changed.values()) > 20


def test_image_loss_is_zero_only_for_the_same_image() -> None:
    a = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert float(reconstruction_loss(a, a)) == 0
    # a constant offset costs nothing in the differences; what is beyond each scale's small error
    # (0.1, 0.1 / 4, 0.1 / 16) costs its size less half of that
    small = 0.1 + 0.1 / 4 + 0.1 / 16
    assert float(reconstruction_loss(a + 0.2, a)) == pytest.approx(0.6 - small / 2, rel=1e-4)
    # and a small one its square: 0.01^2 / 0.2 for pixels, 0.01^2 / 0.05 for fours
    pixels, fours, sixteens = 0.01**2 / 0.2, 0.01**2 / 0.05, 0.01 - 0.1 / 32
    assert float(reconstruction_loss(a + 0.01, a)) == pytest.approx(
        pixels + fours + sixteens, rel=1e-3
    )


def test_pixels_without_importance_have_no_loss() -> None:
    a, b = torch.rand(2, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    weight = torch.zeros(2, 1, 16, 16)
    assert float(reconstruction_loss(a, b, weight)) == 0
    assert float(reconstruction_loss(a, b, weight + 1)) == pytest.approx(
        float(reconstruction_loss(a, b))
    )


def test_mixtures_split_the_layers() -> None:
    w_plus = spread_over_layers(torch.zeros(2, 4), torch.ones(2, 4), 12)
    assert w_plus.shape == (2, 12, 4)
    assert w_plus[:, :APPEARANCE_LAYER].sum() == 0 and w_plus[:, APPEARANCE_LAYER:].min() == 1


def test_jitter_has_the_given_size() -> None:
    w_plus = (
        torch.randn(512, 1, 16, generator=torch.Generator().manual_seed(0)).expand(-1, 6, -1) * 3
    )
    moved = jitter(w_plus, 0.2, torch.Generator().manual_seed(1)) - w_plus
    assert float(moved.std()) == pytest.approx(0.6, rel=0.03)
    assert (moved[:, 0] - moved[:, 1]).abs().mean() > 0.1


def test_learning_rate_warms_up_and_falls() -> None:
    rates = [cosine(i, 1000, warmup=100, floor=0.1) for i in range(1000)]
    assert rates[0] == 0.01 and rates[99] == 1.0
    assert rates[549] == pytest.approx(0.55, abs=0.01) and rates[-1] == pytest.approx(0.1, abs=0.01)


def test_the_generator_without_its_last_block_shows_the_blocks_before() -> None:
    network = generator_stage.begin(16, 0)
    torch.nn.init.zeros_(network.synthesis.b16.torgb.weight)
    torch.nn.init.zeros_(network.synthesis.b16.torgb.bias)
    half = encoder.without_last_block(network)
    w_plus = torch.randn(
        2, network.num_ws, network.w_dim, generator=torch.Generator().manual_seed(0)
    )
    small = half.synthesize(w_plus[:, : half.num_ws])
    assert small.shape == (2, 3, 8, 8) and small.std() > 0.01
    # the last block adds nothing, so the large image is the small one, enlarged with the generator's filter
    whole = F.avg_pool2d(network.synthesize(w_plus), 2)
    assert (whole - small).abs().mean() < 0.2 * small.std()
    assert not any(p.requires_grad for p in half.parameters())


def test_average_follows_slowly() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = Average(network, 0.9)
    nn.init.ones_(network.weight)
    for i in range(1000, 1003):
        average.update(network, i)
    assert float(average.network.weight.detach()) == pytest.approx(1 - 0.9**3)


def _stage(folder: Path) -> tuple[Stage, nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = nn.Linear(4, 4)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(3)
    state = {"network": network, "optimizer": optimizer}
    return Stage("toy", folder, dict(state), generator), network, optimizer


def _train(folder: Path, steps: int) -> Tensor:
    stage, network, optimizer = _stage(folder)
    stage.resume()

    def step(i: int) -> dict[str, Tensor]:
        loss = network(torch.randn(8, 4, generator=stage.generator)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}

    assert stage.run(Schedule(steps), step)
    return network.weight.detach().clone()


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole", 9)
    _train(tmp_path / "parts", 4)
    assert torch.equal(_train(tmp_path / "parts", 9), whole)


def test_a_diverging_run_is_an_error(tmp_path: Path) -> None:
    stage, _, _ = _stage(tmp_path)
    with pytest.raises(FiceError, match="diverged"):
        stage.run(Schedule(30), lambda i: {"loss": torch.tensor(torch.nan)})


@pytest.mark.parametrize("minutes", [None, 1e-9])
def test_a_run_that_diverges_at_its_end_leaves_the_checkpoint_before(
    tmp_path: Path, minutes: float | None
) -> None:
    _train(tmp_path, 2)
    before = (tmp_path / "toy.ckpt").read_bytes()
    stage, _, _ = _stage(tmp_path)
    assert stage.resume() == 2
    with pytest.raises(FiceError, match="diverged at step 3"):
        stage.run(
            Schedule(3 if minutes is None else 9, minutes),
            lambda i: {"loss": torch.tensor(torch.nan)},
        )
    assert (tmp_path / "toy.ckpt").read_bytes() == before


def test_people_are_composed_in_their_own_clothes_first(people: People, renders: Path) -> None:
    assert len(people) == 4 * OUTFITS
    record = Pool(renders)[2]
    person = settled(person_from_code(record.code.astype(float)))
    own = compose(record, person.top_texture, person.bottom_texture)
    shown = people.batch(torch.tensor([2 * OUTFITS])).images[0].permute(1, 2, 0).numpy()
    # apart from the camera's grain
    assert np.abs(own - shown).mean() < 0.006 and np.abs(own - shown).max() < 0.03
    assert people.facts[2 * OUTFITS] == facts(person)


def test_other_outfits_change_textures_and_nothing_else(people: People) -> None:
    code, other = np.random.default_rng(3).standard_normal((2, CODE_DIM))
    result = recoloured(code, other)
    assert np.linalg.norm(result) == pytest.approx(
        np.linalg.norm(code)
    )  # a code is normalised as a whole
    changed = result != code
    where = slices()
    lower = where["lower"].start
    textures = [where["colour"], where["pattern"], slice(lower + 2, lower + 4)]
    assert all(changed[part].all() for part in textures)
    for part in textures:
        changed[part] = False
    assert not changed.any()
    first, second = people.batch(torch.tensor([0, 1])), people.batch(torch.tensor([0, 1]))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.classes[0], first.classes[1])
    bare = first.body[:, 0] + first.head[:, 0] == 0
    assert (first.images[0] - first.images[1]).abs()[:, bare[0]].max() < 0.03
    assert (first.images[0] - first.images[1]).abs().max() > 0.1


def test_settled_patterns_have_one_period_and_place_and_nothing_else_changes() -> None:
    people = [
        person_from_code(code) for code in np.random.default_rng(5).standard_normal((40, CODE_DIM))
    ]
    v = np.linspace(0, 0.3, 500)
    for person in people:
        texture = settled(person).top_texture
        name = PATTERNS[int(person.top_texture.pattern.argmax())]
        assert np.array_equal(texture.colour, person.top_texture.colour)
        assert settled(person).top is person.top and settled(person).body is person.body
        if name in ("stripes", "pinstripes", "checks"):
            uv = np.stack([v + 0.013, v], 1)
            first, again = (ink(name, texture, uv + shift, np.zeros(500)) for shift in (0, 0.04))
            np.testing.assert_allclose(first, again, atol=1e-6)
            assert first.max() - first.min() > 0.4


def test_the_ink_as_shown_is_that_of_the_strongest_pattern(people: People) -> None:
    shown = people.batch(torch.tensor([3, 10, 20]))
    assert shown.patterns.shape == (3, 7)
    worn = person_from_code(people._arrays[0]["codes"][1, 4].astype(float))  # image 10
    np.testing.assert_allclose(shown.patterns[1], worn.top_texture.pattern[1:], atol=1e-5)
    ink = shown.ink()
    for k in range(3):
        layers = [
            float(a) * b.float() / 255
            for a, b in zip(shown.patterns[k], shown.marks[k], strict=True)
        ]
        torch.testing.assert_close(ink[k, 0], torch.stack(layers).amax(0))


@pytest.mark.parametrize("pattern", ["stripes", "dots", "checks", "floral"])
def test_marks_are_where_the_pattern_would_put_its_ink(renders: Path, pattern: str) -> None:
    record = Pool(renders)[1]
    person = settled(person_from_code(record.code.astype(float)))
    person = replace(person, top=replace(person.top, dress=0.0))
    found = marks(record, person)[PATTERNS.index(pattern) - 1]
    texture = replace(
        person.top_texture,
        pattern=np.eye(len(PATTERNS))[PATTERNS.index(pattern)],
        colour=np.full(3, 0.0),
        ink=np.full(3, 0.7),
    )
    shown = settled(replace(person, top_texture=texture)).top_texture
    upper = record.cloth.reshape(
        found.shape[0], -1, found.shape[1], record.cloth.shape[1] // found.shape[1]
    )
    share = upper.mean((1, 3))
    light = mean_albedo(record, painted(shown), lambda uv, panel: np.zeros((len(uv), 3)))[..., 0]
    assert found.max() > 0.3
    # the weave makes cloth up to a tenth lighter or darker
    assert np.abs(light * share - linear(np.array(0.7)) * found).max() < 0.06


def test_waves_are_those_of_the_garment_coordinates(renders: Path) -> None:
    record = Pool(renders)[1]
    person = settled(person_from_code(record.code.astype(float)))
    person = replace(person, top=replace(person.top, dress=0.0))
    found = waves(record, person)
    assert found.shape == (4 * len(WAVES), 32, 32)
    # the middle one of the nine points of pixel (16, 15)
    u, v = 46 / 96 - 0.5, 0.5 - 49 / 96
    angles = [2 * np.pi * x / WAVES[0] for x in (u, v)]
    expected = [f(angle) for angle in angles for f in (np.sin, np.cos)]
    np.testing.assert_allclose(found[:4, 16, 15], expected, atol=0.02)
    assert np.abs(found[:, 2, 2]).max() == 0  # the wall
    assert np.abs(found[:, 30, 16]).max() == 0  # trousers
    assert all(a == 2 * b for a, b in pairwise(WAVES))


def test_a_generator_whose_features_are_the_targets_has_no_cloth_loss(people: People) -> None:
    small = {**generator_stage.CONFIG, "channel_base": 2048, "channel_max": 64}
    network = Generator(resolution=(64, 64), **small)
    loss = ClothLoss(network)
    assert {name: reader.weight.shape[0] for name, reader in loss.readers.items()} == {
        "4": 4,
        "8": 8,
        "16": 4 * 3,
        "32": 4 * 4,
        "64": 4 * 5 + 7 + 1,
    }
    shown = people.batch(torch.tensor([0, 7]))
    network.synthesize(torch.randn(2, network.num_ws, 256))
    assert float(loss(shown).detach()) > 0.01
    targets = shown.waves.float() / 127, torch.cat([shown.marks.float() / 255, shown.ink()], 1)
    with torch.no_grad():
        for name, reader in loss.readers.items():
            size, count = int(name), min(20, reader.weight.shape[0])
            true = F.interpolate(
                targets[0][:, :count], (size, size), mode="bilinear", antialias=True
            )
            if name == "64":
                true = torch.cat([true, F.interpolate(targets[1], (64, 64), mode="area")], 1)
            features = torch.zeros(2, reader.weight.shape[1], size, size)
            features[:, : true.shape[1]] = true
            loss._features[name] = features
            reader.weight.copy_(torch.eye(*reader.weight.shape[:2])[:, :, None, None])
            reader.bias.zero_()
    assert float(loss(shown).detach()) < 1e-8
    loss.close()
    network.synthesize(torch.randn(2, network.num_ws, 256))
    assert not loss._features


def test_shares_of_the_body_by_hand(people: People) -> None:
    shown = people.batch(torch.tensor([0, 7]))
    shares = body_shares(shown)
    assert shares.shape == (2, 25 + 10, 16, 16)
    assert shares[:, :25].sum(1).equal(torch.ones(2, 16, 16))
    assert shares[:, 25:].sum(1).equal(torch.ones(2, 16, 16))
    for part in (0, 2, 23):
        assert shares[0, part].equal((shown.parts[0, ::2, ::2] == part).float())


def test_a_generator_whose_features_are_the_body_has_no_body_loss(people: People) -> None:
    small = {**generator_stage.CONFIG, "channel_base": 2048, "channel_max": 64}
    network = Generator(resolution=(32, 32), **small)
    loss = BodyLoss(network)
    assert set(loss.readers) == {"8", "16", "32"}
    shown = people.batch(torch.tensor([0, 7]))
    network.synthesize(torch.randn(2, network.num_ws, 256))
    assert float(loss(shown).detach()) > 0.1
    shares = body_shares(shown)
    with torch.no_grad():
        for name, reader in loss.readers.items():
            size = int(name)
            features = torch.zeros(2, reader.weight.shape[1], size, size)
            features[:, :35] = F.interpolate(shares, (size, size), mode="area")
            loss._features[name] = features
            reader.weight.copy_(torch.eye(*reader.weight.shape[:2])[:, :, None, None])
            reader.bias.zero_()
    assert float(loss(shown).detach()) < 1e-10
    loss.close()


def test_large_blocks_tell_the_classes_alone(people: People) -> None:
    config = {**generator_stage.CONFIG, "channel_base": 2048, "channel_max": 64}
    network = Generator(resolution=(256, 256), **config)
    counts = {name: len(reader.bias) for name, reader in BodyLoss(network).readers.items()}
    assert counts == {"8": 35, "16": 35, "32": 35, "64": 35, "128": 10}


def test_outlines_and_border_weigh_more_than_the_wall(people: People) -> None:
    shown = people.batch(torch.tensor([0]))
    flat = torch.full_like(shown.images, 0.5)
    body = torch.zeros_like(shown.body)
    body[..., 8:24, 8:24] = 1
    plain = replace(shown, images=flat, body=body, head=0 * body, garment=0 * body)
    weights = importance(plain)[0, 0]
    assert weights[4, 4] == pytest.approx(0.4)  # the wall
    assert weights[16, 16] == pytest.approx(1.2)  # the body
    assert weights[0, 16] == weights[16, -1] == pytest.approx(0.4 + 1.2)  # the border
    # half of the pixels around an outline are the body's: 4 * 1/3 * 2/3 of the most on either side
    assert weights[7, 16] == pytest.approx(0.4 + 1.2 * 8 / 9)
    assert weights[8, 16] == pytest.approx(1.2 + 1.2 * 8 / 9)


def test_a_batch_names_the_same_person_in_other_clothes(people: People) -> None:
    index = torch.tensor([0, 7])
    batch = people.batch(index)
    assert torch.equal(batch.numbers, people.numbers[index])
    assert torch.equal(batch.others, people.numbers[index + 1])
    drawn = people.batch(index.repeat(50), torch.Generator().manual_seed(0)).others
    assert len(drawn.unique(dim=0)) == 2 * OUTFITS
    assert int(batch.classes.max()) < 10 and set(batch.parts.unique().tolist()) == {0, 2, 23}


def test_composing_goes_on_where_it_stopped(renders: Path, tmp_path: Path) -> None:
    compose_all(renders, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npy")}
    compose_all(renders, tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npy")} == before
    first, again = (outfits(np.arange(133) / 50 - 1, 4) for _ in range(2))
    assert np.array_equal(first, again) and len(np.unique(first, axis=0)) == OUTFITS
    with pytest.raises(FiceError, match="render some first"):
        People(tmp_path / "none")


def test_a_crowd_is_read_back(tmp_path: Path) -> None:
    first, again = (crowd(5, tmp_path / "crowd.npz") for _ in range(2))
    assert len(first) == 5 and torch.equal(first.numbers, again.numbers)
    one = settled(person_from_code(first.codes[3].double().numpy()))
    # the code is stored in single precision
    torch.testing.assert_close(
        first.of(torch.tensor([3])).numbers[0], torch.from_numpy(numbers(one)), atol=1e-4, rtol=1e-4
    )


def test_the_teacher_reads_every_attribute_that_varies(everybody: Crowd) -> None:
    torch.manual_seed(0)
    wardrobe = AttributeMapping(16, everybody.numbers)
    base = wardrobe(everybody.numbers[:1])
    varied = everybody.numbers.std(0) > 1e-3
    assert int(varied.sum()) > 200
    for k in varied.nonzero().flatten().tolist():
        moved = everybody.numbers[:1].clone()
        moved[0, k] = everybody.numbers[:, k].mean() + 0.3 * everybody.numbers[:, k].std()
        assert torch.equal(moved, everybody.numbers[:1]) or not torch.equal(
            wardrobe(moved), base
        ), k


def test_joints_are_read_from_w(everybody: Crowd) -> None:
    torch.manual_seed(0)
    # places that a linear map of the attributes gives: what the teacher's straight part can learn
    places = (everybody.numbers - everybody.numbers.mean(0)) @ torch.randn(239, 6)
    known = replace(everybody, joints=places)
    wardrobe, loss = AttributeMapping(16, everybody.numbers), JointLoss(known, 16)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam([*wardrobe.parameters(), *loss.parameters()], 1e-2)
    first = float(loss(wardrobe, generator))
    for _ in range(60):
        optimizer.zero_grad()
        loss(wardrobe, generator).backward()
        optimizer.step()
    assert float(loss(wardrobe, generator)) < 0.05 * first
    assert float(JointLoss(everybody, 16)(wardrobe, generator)) == 0


def test_small_images_are_means_of_large_ones(people: People) -> None:
    batch = people.batch(torch.tensor([0, 8]))
    small = smaller(batch, 8)
    assert small.images.shape == (2, 3, 8, 8) and small.head.shape == (2, 1, 8, 8)
    torch.testing.assert_close(small.images[0, 0, 0, 0], batch.images[0, 0, :4, :4].mean())
    assert smaller(batch, 32) is batch


def _tiny(size: int) -> Generator:
    return Generator((size, size), CODE_DIM, 8, 64, 8, 2)


def test_a_grown_generator_starts_near_the_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"w_dim": 8, "channel_base": 64, "channel_max": 8, "mapping_layers": 2}
    monkeypatch.setattr(generator_stage, "CONFIG", {"z_dim": CODE_DIM, **config})
    small = generator_stage.begin(16, 0)
    large = grown(small, 32, 1)
    w_plus = torch.randn(3, large.num_ws, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        low = small.synthesize(w_plus[:, : small.num_ws])
        high = nn.functional.avg_pool2d(large.synthesize(w_plus), 2)
    difference = (high - low)[..., 2:-2, 2:-2].abs()
    assert float(difference.mean()) < 0.1 * float((low - low.mean()).abs().mean()) + 0.02
    assert torch.equal(large.mapping.fc0.weight, small.mapping.fc0.weight)


def test_the_generator_is_trained_in_growing_sizes(
    people: People, everybody: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"w_dim": 8, "channel_base": 64, "channel_max": 8, "mapping_layers": 2}
    monkeypatch.setattr(generator_stage, "CONFIG", {"z_dim": CODE_DIM, **config})
    monkeypatch.setattr(generator_stage, "GROWTH", ((16, 0.5, 4), (32, 0.5, 2)))
    monkeypatch.setattr(generator_stage, "MAPPING_STEPS", 3)
    network, teacher, finished = generator_stage.train(people, everybody, tmp_path, Schedule(4))
    assert finished and network.resolution == (32, 32)
    assert {p.name for p in tmp_path.glob("*.png")} == {
        "generator-16-000002.png",
        "generator-32-000002.png",
    }
    with torch.no_grad():
        torch.testing.assert_close(network.w_avg, teacher(everybody.numbers).mean(0))
    again, _, finished = generator_stage.train(people, everybody, tmp_path, Schedule(4))
    assert finished
    for name, value in again.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    # what was trained at a small size goes on there
    checkpoints.save(generator_stage.begin(16, 0), tmp_path / "generator.safetensors")
    grown_from, _, _ = generator_stage.train(
        people, everybody, tmp_path / "more", Schedule(2), start=tmp_path
    )
    assert grown_from.resolution == (32, 32)
    assert {p.name for p in (tmp_path / "more").glob("*.png")} == {
        "generator-16-000001.png",
        "generator-32-000001.png",
    }


def test_fakes_are_the_images_of_their_codes(everybody: Crowd, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, wardrobe = _tiny(16), AttributeMapping(8, everybody.numbers)
    fakes = make(network, wardrobe, everybody, tmp_path / "fakes.npz", 8)
    drawn = network.synthesize(fakes.w_plus).clamp(0, 1)
    assert (drawn - fakes.batch(torch.arange(8))).abs().max() < 0.05  # drawn in half precision
    again = make(network, wardrobe, everybody, tmp_path / "fakes.npz", 8)
    assert torch.equal(again.images, fakes.images)
    assert again.facts[0] == facts(person_from_code(fakes.codes[0].double().numpy()))


def test_captions_are_true_false_or_neither() -> None:
    red_tee = replace(NOTHING, colour="red", kind="t-shirt", sleeve="short")
    blue_dress = replace(NOTHING, colour="blue", kind="dress", sleeve="short", gender=1)
    undecided = replace(NOTHING, kind="dress")
    says = [
        replace(NOTHING, colour="red"),
        replace(NOTHING, sleeve="short"),
        replace(NOTHING, colour="blue", kind="dress"),
        NOTHING,
    ]
    true, false = truth(numbered(says), numbered([red_tee, blue_dress, undecided]))
    assert true.tolist() == [
        [True, False, False],
        [True, True, False],
        [False, True, False],
        [True, True, True],
    ]
    assert false.tolist() == [
        [False, True, False],
        [False, False, False],
        [True, False, False],
        [False, False, False],
    ]


def test_every_fact_has_a_number(people: People) -> None:
    table = numbered(people.facts)
    assert table.shape == (len(people), len(fields(Facts))) and int(table.min()) >= -1
    assert (table >= 0).float().mean() > 0.5


def test_placing_moves_zooms_and_mirrors_all_layers_alike() -> None:
    row = torch.linspace(0, 1, 64)
    ramp = row.expand(200, 1, 64, 64)
    layers = torch.cat([ramp, 1 - ramp, row[:, None].expand_as(ramp)], 1)
    found = placed(layers, 48, torch.Generator().manual_seed(5))
    assert found.shape == (200, 3, 48, 48)
    assert torch.equal(found, placed(layers, 48, torch.Generator().manual_seed(5)))
    torch.testing.assert_close(found[:, 0] + found[:, 1], torch.ones(200, 48, 48))
    slope = (found[:, 0, :, 30] - found[:, 0, :, 18]).mean(1) * (63 / 64) * 48 / 12
    assert 60 < int((slope < 0).sum()) < 140  # mirrored
    assert 0.77 < float(slope.abs().min()) < 0.85 and 1.0 < float(slope.abs().max()) < 1.13
    assert (found[:, 2, 30] - found[:, 2, 18]).min() > 0  # never upside down


def test_photographs_are_blurred_noisy_and_darker_or_lighter_at_random() -> None:
    images = torch.full((200, 3, 32, 32), 0.5)
    found = photographed(images, torch.Generator().manual_seed(5))
    assert torch.equal(found, photographed(images, torch.Generator().manual_seed(5)))
    light, noise = found.mean((1, 2, 3)) / 0.5, found.std((1, 2, 3))
    assert 0.94 < float(light.min()) < 0.96 and 1.04 < float(light.max()) < 1.06
    assert 40 < int((noise < 1e-6).sum()) < 95 and 0.05 < float(noise.max()) < 0.07
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2
    sharp = photographed(checks.float().expand(200, 3, 32, 32), torch.Generator().manual_seed(5))
    contrast = sharp.amax((1, 2, 3)) - sharp.amin((1, 2, 3))
    assert contrast.min() < 0.3 and contrast.max() > 0.9


def test_attack_changes_every_pixel_to_raise_the_loss() -> None:
    images = torch.rand(64, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(1))

    def loss(x: Tensor) -> Tensor:
        return (weights * x).sum()

    moved = attack(images, loss, 0.1, torch.Generator().manual_seed(2)) - images
    assert not moved.requires_grad
    torch.testing.assert_close(moved.sign(), weights.sign().expand_as(moved))
    size = moved.abs().flatten(1)
    torch.testing.assert_close(size, size[:, :1].expand_as(size), atol=1e-6, rtol=0)
    assert 0.08 < float(size.max()) <= 0.1 and float(size.mean()) == pytest.approx(0.05, rel=0.2)


def test_training_starts_from_given_weights(people: People, tmp_path: Path) -> None:
    first, _ = perception.train_segmenter(people, tmp_path / "a", Schedule(1), batch=2)
    again, _ = perception.train_segmenter(
        people, tmp_path / "b", Schedule(1), first.state_dict(), batch=2
    )
    # one step of Adam at a fiftieth of 3e-3: close to where it started, far from a fresh network
    for name, value in again.state_dict().items():
        if name.endswith("conv1.weight"):
            assert float((value - first.state_dict()[name]).abs().max()) < 1e-3


def test_recolouring_does_not_change_the_garment() -> None:
    images = torch.full((200, 3, 1, 3), 0.5)
    garment, person = (
        torch.tensor(row).expand(200, 1, 1, 3) for row in ([1.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    )
    found = recolour(images, garment, person, torch.Generator().manual_seed(0))
    assert torch.equal(found[..., 0], images[..., 0])
    changed = (found != images).flatten(1).any(1)
    assert 70 < int(changed.sum()) < 130
    person_gain, wall_gain = (found[changed] / 0.5)[..., 0, 1], (found[changed] / 0.5)[..., 0, 2]
    for gain in (person_gain, wall_gain):
        assert 0.4 <= float(gain.min()) < 0.5 and 1.2 < float(gain.max()) <= 1.3
    assert (person_gain - wall_gain).abs().mean() > 0.1


def test_discriminator_detects_a_collapsed_batch() -> None:
    torch.manual_seed(0)
    critic = Discriminator(16, 64, 8)
    varied = torch.rand(4, 3, 16, 16)
    same = varied[:1].expand(4, -1, -1, -1)
    assert critic(varied).shape == (4,)
    # alone in its batch an image has no deviation, beside three equal ones neither
    torch.testing.assert_close(critic(same)[:1], critic(varied[:1]))
    assert not torch.allclose(critic(varied)[:1], critic(varied[:1]))


def test_unknown_stages_and_existing_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match="no training stage 'shoes'"):
        stages.run(tmp_path, ["shoes"])
    (tmp_path / "clip.ckpt").touch()
    with pytest.raises(FiceError, match="--resume"):
        stages.run(tmp_path)


def test_stages_that_need_a_generator_are_refused_without_one(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match="train the stage 'generator' first"):
        stages.run(tmp_path, ["encoder"])


def test_trained_generator_is_read_back_with_its_teacher(everybody: Crowd, tmp_path: Path) -> None:
    network, wardrobe = _tiny(16), AttributeMapping(8, everybody.numbers)
    state = stages._Run(tmp_path, None, "cpu", None, None, tmp_path, 0)
    state.weights.mkdir()
    checkpoints.save(network, state.weights / "generator.safetensors", stages.METADATA, half=True)
    save_file(wardrobe.state_dict(), state.weights / WARDROBE)
    read, teacher = state.trained
    w_plus = torch.randn(2, network.num_ws, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            read.synthesize(w_plus), network.synthesize(w_plus), atol=0.02, rtol=0
        )
    assert torch.equal(teacher.straight.weight, wardrobe.straight.weight)


def test_adversarial_training_keeps_the_mapping_and_changes_the_images(
    people: People, everybody: Crowd, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network, wardrobe = _tiny(32), AttributeMapping(8, everybody.numbers)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    found, finished = adversarial.train(
        network.requires_grad_(False), wardrobe, people, tmp_path, Schedule(3), batch=4
    )
    assert finished and (tmp_path / "adversarial-000003.png").exists()
    moved = {k for k, v in found.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and all(name.startswith("synthesis.") for name in moved)
    # resumed when all is done, it comes back the same
    again, finished = adversarial.train(_tiny(32), wardrobe, people, tmp_path, Schedule(3), batch=4)
    assert finished
    for name, value in again.state_dict().items():
        assert torch.equal(value, found.state_dict()[name]), name


def test_the_encoder_learns_the_codes_of_its_teacher(
    people: People, everybody: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(
        encoder, "CONFIG", {"stages": ((8, 1), (12, 1), (16, 1), (24, 1)), "head_channels": 8}
    )
    network, wardrobe = _tiny(32), AttributeMapping(8, everybody.numbers)
    fakes = make(network, wardrobe, everybody, tmp_path / "fakes.npz", 16)
    common = (network, wardrobe, people, everybody, fakes)

    def error(steps: int) -> float:
        trained, _ = encoder.train(*common, tmp_path / str(steps), Schedule(steps), rate=2e-3)
        shown = people.batch(torch.arange(8))
        with torch.no_grad():
            known = taught(wardrobe, shown, network.num_ws)
            return float((trained(shown.images) - known).square().mean())

    assert error(60) < 0.9 * error(1)


def test_clip_learns_which_caption_belongs_to_whom(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "image_size": 32}
    monkeypatch.setitem(clip.CONFIG, "vision_cfg", small)
    short, _ = clip.train(people, None, tmp_path / "a", Schedule(2), batch=8)
    parts, _ = clip.train(people, None, tmp_path / "b", Schedule(1), batch=8)
    parts, finished = clip.train(people, None, tmp_path / "b", Schedule(2), batch=8)
    assert finished and short.tokenizer.context_length == clip.CONTEXT_LENGTH
    for name, value in parts.state_dict().items():
        assert value.shape == short.state_dict()[name].shape
