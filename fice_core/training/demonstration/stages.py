"""Trains the demonstration set in resumable stages, for `fice train demo`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ... import checkpoints
from ...checkpoints.native import DEMONSTRATION, SOURCE_KEY
from ...errors import FiceError
from ...models import resolve_device
from ...networks.stylegan2 import Generator
from ...people.render import fill
from ..loop import Schedule, Weights
from . import adversarial, clip, encoder, generator, perception
from .dataset import People, compose_all
from .fakes import Fakes, make
from .wardrobe import AttributeMapping, Crowd, crowd

log = logging.getLogger(__name__)

SIZE = 256
RENDERS = 3072  # people; each is composed in several sets of clothes
RENDER_SEED = 1
CROWD = 60_000
SKELETONS = 4000  # people of the crowd whose joints are computed
FAKES = 8000
FAKES_FILE, CROWD_FILE = "fakes.npz", "crowd.npz"
#: optimisation steps of every stage
STEPS = {"densepose": 4000, "segmenter": 4000, "judge": 2500, "generator": 16_000, "adversarial": 4000,
         "encoder": 6000, "clip": 4000}  # fmt: skip
STAGES = (
    "render", "densepose", "segmenter", "judge", "generator", "adversarial", "encoder", "clip",
)  # fmt: skip
#: kinds of the networks whose stage has another name
_KINDS = {"judge": "densepose"}
METADATA = {
    SOURCE_KEY: f"{DEMONSTRATION} on people rendered by fice_core.people",
    "license": "MIT",
}


@dataclass
class _Run:
    """One training run: its folder and options, and the data that its stages share."""

    out: Path
    minutes: float | None
    device: str
    start: Path | None
    steps: int | None
    renders: Path
    count: int

    @cached_property
    def people(self) -> People:
        compose_all(self.renders, self.out / "people")
        return People(self.out / "people")

    @cached_property
    def crowd(self) -> Crowd:
        return crowd(CROWD, self.out / CROWD_FILE, SKELETONS)

    @property
    def weights(self) -> Path:
        """Folder of the finished networks."""
        return self.out / "weights"

    @cached_property
    def trained(self) -> tuple[Generator, AttributeMapping]:
        """The finished generator and its teacher, for the stages that need its images."""
        if not (self.weights / generator.WARDROBE).exists():
            raise FiceError(
                f"there is no finished generator in {self.weights}: train the stage 'generator' first, "
                "or continue it with --resume if it was stopped"
            )
        network = checkpoints.load_generator(self.weights / "generator.safetensors")
        state = load_file(self.weights / generator.WARDROBE)
        wardrobe = AttributeMapping(network.w_dim, count=len(state["mean"])).requires_grad_(False)
        wardrobe.load_state_dict(state)
        return network, wardrobe

    @cached_property
    def fakes(self) -> Fakes:
        return make(*self.trained, self.crowd, self.out / FAKES_FILE, FAKES)

    def forget_generator(self) -> None:
        """Discard the old generator and its images after a new one is trained."""
        for name in ("trained", "fakes"):
            self.__dict__.pop(name, None)
        (self.out / FAKES_FILE).unlink(missing_ok=True)

    def begin_with(self, stage: str) -> Weights:
        """The weights from which the stage starts; None for random ones."""
        if self.start is None:
            return None
        load = getattr(checkpoints, f"load_{_KINDS.get(stage, stage)}")
        state: dict[str, Tensor] = load(self.start / f"{stage}.safetensors").state_dict()
        return state

    def common(self, stage: str) -> tuple[Path, Schedule, Weights]:
        """The last arguments of every trainer: folder, schedule, initial weights."""
        return self.out, self.schedule(stage), self.begin_with(stage)

    def schedule(self, stage: str) -> Schedule:
        return Schedule(STEPS[stage] if self.steps is None else self.steps, self.minutes)


def run(
    out: Path,
    stages: list[str] | None = None,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    start: Path | None = None,
    steps: int | None = None,
    renders: Path | None = None,
    count: int = RENDERS,
) -> None:
    """Train the stages in order and write the finished networks to `out`/weights.

    Args:
        out: folder of the run: composed people, checkpoints, grids of samples, `weights/`.
        stages: some of `STAGES`; None for all.
        minutes: time limit of each stage but `render`; a stage that is not finished can be resumed.
        resume: continue from the checkpoints in `out`; otherwise there must be none.
        device: for the generator, the most expensive stage; the others train on the CPU.
        start: folder of networks that are trained further; None starts from random weights.
        steps: of every stage; None for `STEPS`.
        renders: folder of rendered people; None for `out`/renders.
        count: people that the stage `render` renders in all.

    Raises:
        FiceError: a stage is unknown, `out` has checkpoints and `resume` is not set, or the extra
            `people` is missing for the stage `render`.
    """
    unknown = [name for name in stages or () if name not in STAGES]
    if unknown:
        raise FiceError(
            f"there is no training stage {unknown[0]!r}: choose from {', '.join(STAGES)}"
        )
    if not resume and list(out.glob("*.ckpt")):
        raise FiceError(
            f"{out} has checkpoints of an earlier run: add --resume, or give another folder with -o"
        )
    state = _Run(
        out, minutes, resolve_device(device), start, steps, renders or out / "renders", count
    )
    state.weights.mkdir(parents=True, exist_ok=True)
    for name in stages or STAGES:
        if name == "render":
            fill(state.renders, count, SIZE, RENDER_SEED)
            continue
        network, finished = _TRAINERS[name](state)
        if not finished:
            log.warning("%s is not finished; continue it with --resume", name)
            continue
        file = "generator" if name == "adversarial" else name
        checkpoints.save(network, state.weights / f"{file}.safetensors", METADATA, half=True)
        if name == "generator":
            shutil.copy(out / generator.WARDROBE, state.weights)
        if file == "generator":
            state.forget_generator()


def _train_generator(state: _Run) -> tuple[torch.nn.Module, bool]:
    network, _, finished = generator.train(
        state.people,
        state.crowd,
        state.out,
        state.schedule("generator"),
        device=state.device,
        start=state.start,
    )
    return network.to("cpu"), finished


def _train_adversarial(state: _Run) -> tuple[torch.nn.Module, bool]:
    network, wardrobe = state.trained
    schedule = state.schedule("adversarial")
    network, finished = adversarial.train(
        network, wardrobe, state.people, state.out, schedule, device=state.device
    )
    return network.to("cpu"), finished


def _train_encoder(state: _Run) -> tuple[torch.nn.Module, bool]:
    network, wardrobe = state.trained
    common = state.common("encoder")
    return encoder.train(network, wardrobe, state.people, state.crowd, state.fakes, *common)


_TRAINERS: dict[str, Callable[[_Run], tuple[torch.nn.Module, bool]]] = {
    "generator": _train_generator,
    "adversarial": _train_adversarial,
    "densepose": lambda s: perception.train_densepose(s.people, *s.common("densepose")),
    "segmenter": lambda s: perception.train_segmenter(s.people, *s.common("segmenter")),
    "judge": lambda s: perception.train_judge(s.people, *s.common("judge")),
    "encoder": _train_encoder,
    "clip": lambda s: clip.train(s.people, s.fakes, *s.common("clip")),
}
