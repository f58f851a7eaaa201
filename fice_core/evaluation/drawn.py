"""Drawn figures to edit and to measure. They come from a seed that no training uses."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ..demo.attributes import (
    COLOURS,
    PATTERNS,
    SLEEVES,
    Attributes,
    sample_attributes,
    sleeve_class,
)
from ..demo.captions import nearest_colour, prompt
from ..demo.differences import bare_skin, becomes_bare, drift
from ..demo.measure import measure
from ..demo.renderer import Rendering, render
from ..errors import FiceError
from ..ops.color import to_lab
from .case import Measurement

HELD_OUT_SEED = 1_000_003
#: CIELAB distance from which cloth and skin on an arm are told apart by colour
_TELLABLE = 32.0


@dataclass(frozen=True)
class Cases:
    """n figures, and the colour, pattern and sleeves that are asked of each."""

    figures: Attributes
    colours: list[str]
    patterns: list[str]
    sleeves: list[str]

    @property
    def wanted(self) -> list[tuple[str, str, str]]:
        """Colour, pattern and sleeves of every case."""
        return list(zip(self.colours, self.patterns, self.sleeves, strict=True))

    @property
    def prompts(self) -> list[str]:
        """One sentence a case."""
        return [prompt(*wanted) for wanted in self.wanted]

    def __len__(self) -> int:
        return len(self.colours)

    def sitting(self, span: slice, size: int) -> DrawnSitting:
        """The figures of some cases, drawn at `size` pixels."""
        figures = self.figures[span]
        return DrawnSitting(figures, render(figures, size), self.colours[span], self.sleeves[span])

    def recoloured(self, span: slice, size: int) -> Tensor:
        """Images of the figures of some cases with their garments in the colours asked for."""
        colours = torch.tensor([COLOURS[name] for name in self.colours[span]])
        return render(self.figures[span].replace(colour=colours), size).images


@dataclass(frozen=True)
class DrawnSitting:
    """A few figures as they are drawn, with the colours and sleeves that are asked of them."""

    figures: Attributes
    truth: Rendering
    colours: list[str]
    sleeves: list[str]

    def measure(self, images: Tensor) -> list[Measurement]:
        seen = measure(images, self.figures, self.colours)
        return [Measurement(**asdict(what)) for what in seen]

    def drift(self, generated: Tensor) -> tuple[Tensor, Tensor]:
        return drift(generated, self.truth, self.figures)

    def becomes_bare(self) -> list[bool]:
        return becomes_bare(self.figures, self.sleeves)

    def bare_skin(self, images: Tensor) -> Tensor:
        return bare_skin(images, self.figures)


def cases(count: int, seed: int = 0, bare: bool = False) -> Cases:
    """Held-out cases. Every case asks for another colour than the figure wears, and for one that differs
    from its skin.

    With `bare`, all figures wear long sleeves and all cases ask for short ones or none.

    Raises:
        FiceError: fewer than one case.
    """
    if count < 1:
        raise FiceError(f"count is {count}, but must be at least 1")
    generator = torch.Generator().manual_seed(HELD_OUT_SEED + seed)
    figures = sample_attributes((16 if bare else 4) * count + 64, generator)
    worn_sleeves = sleeve_class(figures)
    fit = worn_sleeves == SLEEVES.index("long") if bare else worn_sleeves >= 0
    kept = fit.nonzero().flatten()[:count]
    figures = figures[kept]
    worn, _ = nearest_colour(figures.colour)
    table = torch.from_numpy(to_lab(torch.tensor(list(COLOURS.values())).double().numpy()))
    skin = torch.from_numpy(to_lab(figures.skin.double().numpy()))
    distance = torch.cdist(skin, table)
    colours = []
    for i, name in enumerate(worn):
        options = [c for k, c in enumerate(COLOURS) if c != name and distance[i, k] > _TELLABLE]
        colours.append(options[int(torch.randint(len(options), (), generator=generator))])
    patterns = [
        PATTERNS[int(k)] for k in torch.randint(len(PATTERNS), (count,), generator=generator)
    ]
    lengths = [name for name in SLEEVES if not (bare and name == "long")]
    sleeves = [lengths[int(k)] for k in torch.randint(len(lengths), (count,), generator=generator)]
    return Cases(figures, colours, patterns, sleeves)
