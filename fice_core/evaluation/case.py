"""What an evaluation needs of its cases, whatever kind of people they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Measurement:
    """What is seen on one person. `coverage` is the share of the arms under cloth, from the shoulder on;
    `sleeve` is None where it cannot be told. `correlation` is that of the best pattern."""

    colour: str
    pattern: str
    sleeve: str | None
    coverage: float
    correlation: float


class Truth(Protocol):
    """Images (N, 3, S, S) of people in [0, 1], DensePose's labels (N, S, S), and soft masks (N, 1, S, S)."""

    @property
    def images(self) -> Tensor:
        """The unedited images."""

    @property
    def labels(self) -> Tensor:
        """DensePose's 24 parts, 0 background."""

    @property
    def background(self) -> Tensor:
        """All but the person."""

    @property
    def body(self) -> Tensor:
        """The person without face and hair."""

    @property
    def head(self) -> Tensor:
        """Face and hair."""

    @property
    def garment(self) -> Tensor:
        """The upper garment."""

    def parts(self, size: int = 112) -> Tensor:
        """The part maps as DensePose would give them, (N, 14, size, size)."""


class Sitting(Protocol):
    """A few people and the truth about them, to be edited and measured together."""

    @property
    def truth(self) -> Truth:
        """The unedited images and what they show."""

    def measure(self, images: Tensor) -> list[Measurement]:
        """What the people wear in edited images."""

    def drift(self, generated: Tensor) -> tuple[Tensor, Tensor]:
        """CIELAB differences of lower garment and background from the photos, (N,) each; NaN without any."""

    def becomes_bare(self) -> list[bool]:
        """Whether arms in long sleeves are to be bare from the elbow down."""

    def bare_skin(self, images: Tensor) -> Tensor:
        """CIELAB distance of the lower arms from the person's own skin, (N,); NaN without any."""


class Cases(Protocol):
    """People, and the colour, pattern and sleeves that are asked of each."""

    @property
    def wanted(self) -> list[tuple[str, str, str]]:
        """Colour, pattern and sleeves of every case."""

    @property
    def prompts(self) -> list[str]:
        """One sentence a case."""

    def __len__(self) -> int:
        """How many there are."""

    def sitting(self, span: slice, size: int) -> Sitting:
        """The people of some cases, at `size` pixels."""

    def recoloured(self, span: slice, size: int) -> Tensor:
        """Images of the people of some cases with their garments in the colours asked for."""
