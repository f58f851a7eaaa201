"""Trains the StyleGAN2 generator, supervised by the people of its codes, from small images to large ones.

A rendered person is a continuous function of a Gaussian code, so every code has a target image. W is
computed from the attributes (`wardrobe.py`): the coarse layers get the w of the person in other colours,
the fine layers that of the person as shown. So colours and patterns live in the fine layers. W also has to
tell where the joints of random people are, who need no rendering: far fewer people are rendered than it
takes to learn anatomy. The teacher learns this first. The mapping network is trained afterwards to predict
w from z. `adversarial.py` continues the training.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...checkpoints import load_generator
from ...networks.stylegan2 import Generator
from ...people.code import CODE_DIM
from ..loop import Average, Schedule, Stage, cosine, set_rate
from ..losses import differences
from .dataset import Batch, People
from .feature_losses import BodyLoss, ClothLoss, JointLoss
from .wardrobe import AttributeMapping, Crowd

#: the first layer with the w of a person's colours; from here on, layers have 32 x 32 pixels or more
APPEARANCE_LAYER = 5
#: file of the teacher's weights, from which training can be continued
WARDROBE = "wardrobe.safetensors"
CONFIG: dict[str, Any] = {
    "z_dim": CODE_DIM,
    "w_dim": 256,
    "channel_base": 4096,
    "channel_max": 256,
    "mapping_layers": 8,
    "conv_clamp": None,  # useful in half precision only; it would take a seventh of a step's time
}
MAPPING_STEPS = 15_000
#: weight of the joints' loss
JOINTS = 0.3
JOINTS_STEPS = 4000  # of the teacher alone, before it sees an image
#: weights of the losses of patterns and of the body
CLOTH, BODY = 2.0, 0.3
#: sizes of the images, and the share of the steps and the batch of each; people's outlines are learnt at the
#: first size, where an image costs a fifth of one at the last
GROWTH = ((32, 0.30, 16), (64, 0.15, 16), (128, 0.25, 12), (256, 0.30, 8))


def spread_over_layers(coarse: Tensor, fine: Tensor, num_ws: int) -> Tensor:
    """The two w (N, w_dim) of a person -> w_plus (N, num_ws, w_dim)."""
    low = coarse[:, None].expand(-1, APPEARANCE_LAYER, -1)
    return torch.cat([low, fine[:, None].expand(-1, num_ws - APPEARANCE_LAYER, -1)], 1)


def taught(wardrobe: AttributeMapping, people: Batch | Crowd, num_ws: int) -> Tensor:
    """The codes (N, num_ws, w_dim) of these people by the teacher."""
    device = wardrobe.mean.device
    coarse, fine = (wardrobe(x.to(device)) for x in (people.others, people.numbers))
    return spread_over_layers(coarse, fine, num_ws)


def reconstruction_loss(output: Tensor, target: Tensor, importance: Tensor | None = None) -> Tensor:
    """Mean of `losses.differences` over images (N, 3, H, W); `importance` as there."""
    return differences(output, target, importance).mean()


def importance(people: Batch) -> Tensor:
    """Weights of the pixels of people, (N, 1, S, S), about 1 on average.

    A face is a fortieth of the image, and its features are a few pixels of the face. A body is a quarter.
    Outlines of person and garment, and the border of the image, weigh as much as the body on both sides:
    otherwise they stay blurred, with a halo on the wall.
    """
    fine = (people.images - F.avg_pool2d(people.images, 7, 1, 3)).abs().mean(1, keepdim=True)
    features = (8 * fine).clamp(max=1) * (people.head > 0.99)
    areas = torch.cat([people.body + people.head, people.garment], 1)
    reach = areas.shape[-1] // 32
    near = F.avg_pool2d(F.pad(areas, [reach] * 4, "replicate"), 2 * reach + 1, 1)
    outline = (4 * near * (1 - near)).amax(1, keepdim=True)
    frame = torch.zeros_like(outline)
    width = max(1, reach // 2)
    for rows in (frame, frame.transpose(2, 3)):
        rows[..., :width, :] = rows[..., -width:, :] = 1.0
    weights = 0.4 + 0.8 * people.body + 1.0 * people.head + 4 * features
    return weights + 1.2 * torch.maximum(outline, frame)


def smaller(people: Batch, size: int) -> Batch:
    """The images and soft masks at `size` pixels; the other fields stay as they are."""
    factor = people.images.shape[-1] // size
    if factor == 1:
        return people
    soft = ("images", "body", "head", "garment")
    return replace(people, **{n: F.avg_pool2d(getattr(people, n), factor) for n in soft})


def jitter(w_plus: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """w_plus with independent noise in every layer, `amount` times the standard deviation of w.

    The target image stays the same, so the generator learns to ignore meaningless directions. In these
    directions, a later optimisation would leave the space of plausible images.
    """
    spread = w_plus[:, -1].std(0).detach()
    noise = torch.randn(w_plus.shape, generator=generator).to(w_plus)
    return w_plus + amount * spread * noise


def equalized_adam(network: nn.Module, rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """Adam with step sizes that match the magnitude of each kind of parameter.

    Weights are stored with unit variance; those of the mapping network are 100 times larger, because of
    its learning-rate multiplier of 0.01. Biases are stored as they are used.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        scale = 1.0 if name.endswith(("weight", "const")) else 0.25
        groups.setdefault(scale * (100 if "fc" in name else 1), []).append(parameter)
    return torch.optim.Adam(
        [{"params": p, "lr": rate * scale} for scale, p in groups.items()], betas=betas
    )


def _soften(network: nn.Module) -> None:
    """Scale weights down so that all first images are nearly the same grey one.

    Otherwise, training would first have to remove the effect of random styles.
    """
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("affine.weight"):
                parameter.mul_(0.3)
            if name.endswith("torgb.weight"):
                parameter.mul_(0.1)


def begin(size: int, seed: int) -> Generator:
    """A generator with random weights for images of `size` pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Generator(resolution=(size, size), **CONFIG)
    _soften(network)
    return network


def grown(network: Generator, size: int, seed: int) -> Generator:
    """A generator for larger images with the weights of a smaller one; the new layers are random."""
    larger = begin(size, seed)
    # The images of all blocks add up: at first, those of the new ones change little.
    larger.load_state_dict(larger.state_dict() | network.state_dict())
    return larger.to(network.w_avg.device)


def rehearse(
    network: Generator,
    w_plus: Tensor,
    people: Batch,
    noise: float,
    generator: torch.Generator,
    half: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Generated images, target images, and the loss; codes with odd indices get noise."""
    noisy = torch.arange(len(w_plus), device=w_plus.device)[:, None, None] % 2 == 1
    w_plus = torch.where(noisy, jitter(w_plus, noise, generator), w_plus)
    people = smaller(people, network.resolution[0])
    with torch.autocast(w_plus.device.type, dtype=torch.bfloat16, enabled=half):
        output = network.synthesize(w_plus).float()
    target = people.images.to(output)
    return output, target, reconstruction_loss(output, target, importance(people).to(output))


def sample_sheet(network: Generator, wardrobe: AttributeMapping, people: People) -> Tensor:
    """Sample images: people, the generated image below each, and images of random z."""
    shown = people.batch(torch.arange(0, len(people), max(1, len(people) // 16))[:16])
    z = torch.randn(16, CODE_DIM, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        drawn = network.synthesize(taught(wardrobe, shown, network.num_ws)).cpu()
        random = network(z.to(network.w_avg.device)).cpu()
    real = smaller(shown, network.resolution[0]).images
    return torch.cat([real[:8], drawn[:8], real[8:], drawn[8:], random])


def train(
    people: People,
    crowd: Crowd,
    folder: Path,
    schedule: Schedule,
    seed: int = 0,
    device: str = "cpu",
    half: bool = True,
    start: Path | None = None,
) -> tuple[Generator, AttributeMapping, bool]:
    """Train the synthesis network in growing sizes and then the mapping network, or resume training.

    Args:
        people: the training set.
        crowd: random people, for the mapping network.
        folder: of checkpoints and samples.
        schedule: its steps are shared out by `GROWTH`; a time limit holds for each size.
        start: folder with `generator.safetensors` and `wardrobe.safetensors` of an earlier run, whose
            weights are trained further with smaller steps, at their size and then at the larger ones; None
            starts from random weights.

    Returns:
        The averaged generator, its teacher, and whether all steps are done.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wardrobe = AttributeMapping(CONFIG["w_dim"], crowd.numbers[:4096]).to(device)
        joints = JointLoss(crowd, CONFIG["w_dim"]).to(device)
    if start is None:
        network = begin(GROWTH[0][0], seed).to(device)
        teach_joints(wardrobe, joints, folder, seed)
    else:
        network = load_generator(start / "generator.safetensors").to(device)
        wardrobe.load_state_dict(load_file(start / WARDROBE))
    sizes = [row for row in GROWTH if row[0] >= network.resolution[0]]
    whole = sum(share for _, share, _ in sizes)
    for size, share, batch in sizes:
        if network.resolution[0] != size:
            network = grown(network, size, seed + size)
        part = Schedule(max(1, round(share / whole * schedule.steps)), schedule.minutes)
        rate = 1.0 if size == GROWTH[0][0] and start is None else 0.5
        network, wardrobe, finished = _fit(
            network, wardrobe, joints, people, folder, part, batch, seed + size, rate, half
        )
        if not finished:
            return network, wardrobe, False
    teach_mapping(network, wardrobe, crowd, folder, seed)
    save_file(wardrobe.state_dict(), folder / WARDROBE)
    return network, wardrobe, True


def _fit(
    network: Generator,
    wardrobe: AttributeMapping,
    joints: JointLoss,
    people: People,
    folder: Path,
    schedule: Schedule,
    batch: int,
    seed: int,
    rate: float,
    half: bool,
) -> tuple[Generator, AttributeMapping, bool]:
    """Train synthesis and teacher at one size; returns their averages, and whether all steps are done."""
    generator = torch.Generator().manual_seed(seed)
    network.requires_grad_(False).synthesis.requires_grad_(True)
    wardrobe.requires_grad_(True)
    optimizer = equalized_adam(network.synthesis, 1.2e-2 * rate, (0.9, 0.99))
    average, teacher = Average(network, 0.998), Average(wardrobe, 0.998)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # after the average, which would copy its hooks
        cloth = ClothLoss(network).to(network.w_avg.device)
        body = BodyLoss(network).to(network.w_avg.device)
    readers = [p for m in (wardrobe, joints, cloth, body) for p in m.parameters()]
    teacher_optimizer = torch.optim.Adam(readers, 3e-3 * rate, betas=(0.9, 0.99))
    state = {
        "network": network,
        "wardrobe": wardrobe,
        "joints": joints,
        "cloth": cloth,
        "body": body,
        "average": average.network,
        "teacher": teacher.network,
        "optimizer": optimizer,
        "teacher_optimizer": teacher_optimizer,
    }

    def samples() -> Tensor:
        return sample_sheet(average.network, teacher.network, people)

    size = network.resolution[0]
    stage = Stage(f"generator-{size}", folder, dict(state), generator, samples)
    stage.resume()
    batches = people.batches(batch, generator)

    def step(i: int) -> dict[str, Tensor]:
        for group in (optimizer, teacher_optimizer):
            set_rate(group, cosine(i, schedule.steps, floor=0.05))
        shown = next(batches)
        w_plus = taught(wardrobe, shown, network.num_ws)
        *_, loss = rehearse(network, w_plus, shown, 0.08, generator, half)
        unread, unseen = cloth(shown), body(shown)
        lost = joints(wardrobe, generator)
        optimizer.zero_grad()
        teacher_optimizer.zero_grad()
        (loss + JOINTS * lost + CLOTH * unread + BODY * unseen).backward()
        optimizer.step()
        teacher_optimizer.step()
        average.update(network, i)
        teacher.update(wardrobe, i)
        parts = {"loss": loss, "joints": lost, "cloth": unread, "body": unseen}
        return {name: part.detach() for name, part in parts.items()}

    finished = stage.run(schedule, step)
    cloth.close()
    body.close()
    return average.network, teacher.network, finished


def teach_joints(wardrobe: AttributeMapping, joints: JointLoss, folder: Path, seed: int) -> None:
    """Train the teacher until the joints of random people can be read from w; resumable as any stage."""
    if joints.reader is None:
        return
    generator = torch.Generator().manual_seed(seed + 4)
    parameters = [*wardrobe.parameters(), *joints.parameters()]
    optimizer = torch.optim.AdamW(parameters, 2e-3, weight_decay=0.5)
    state = {"wardrobe": wardrobe, "joints": joints, "optimizer": optimizer}
    stage = Stage("generator-joints", folder, dict(state), generator)
    stage.resume()

    def step(i: int) -> dict[str, Tensor]:
        set_rate(optimizer, cosine(i, JOINTS_STEPS, floor=0.01))
        loss = joints(wardrobe, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"joints": loss.detach()}

    stage.run(Schedule(JOINTS_STEPS, save_every=JOINTS_STEPS), step)


def teach_mapping(
    network: Generator,
    wardrobe: AttributeMapping,
    crowd: Crowd,
    folder: Path,
    seed: int,
) -> None:
    """Train the mapping network to predict the teacher's w, and set w_avg; resumable as any stage."""
    generator = torch.Generator().manual_seed(seed + 3)
    device = network.w_avg.device
    mapping = network.mapping.requires_grad_(True)
    optimizer = equalized_adam(network.mapping, 2e-3, (0.9, 0.99))
    with torch.no_grad():
        targets = wardrobe(crowd.numbers.to(device))
        variance = targets.var(0).mean()
        mapping.w_avg.copy_(targets.mean(0))
    codes = crowd.codes.to(device)
    stage = Stage(
        "generator-mapping", folder, {"mapping": mapping, "optimizer": optimizer}, generator
    )
    stage.resume()

    def step(i: int) -> dict[str, Tensor]:
        set_rate(optimizer, cosine(i, MAPPING_STEPS, floor=0.01))
        index = torch.randint(len(codes), (512,), generator=generator).to(device)
        loss = (mapping(codes[index]) - targets[index]).square().mean() / variance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"unexplained": loss.detach()}

    stage.run(Schedule(MAPPING_STEPS, save_every=2500), step)
    mapping.requires_grad_(False)
