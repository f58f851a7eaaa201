"""Rendered people to edit and to measure: those of the bundled gallery, or of a pool of renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from torch import Tensor

from ..demo.gallery import gallery
from ..demo.people import Truth, as_arrays, as_images, truth
from ..errors import FiceError
from ..ops.color import to_lab
from ..people.captions import Facts, colour_name, facts, prompt
from ..people.colours import COLOURS
from ..people.compose import compose
from ..people.dressing import dressed
from ..people.maths import Array
from ..people.pool import Pool
from ..people.portrait import Portrait, portrait, resampled
from ..people.record import Record
from ..people.sampling import person_from_code
from . import surroundings
from .case import Measurement
from .garments import measure, shows_arms

#: what is asked for; a melange is too fine to be measured
PATTERNS = ("plain", "stripes", "pinstripes", "dots", "checks", "floral", "print")
SLEEVES = ("sleeveless", "short", "long")
#: CIELAB distance from which cloth and skin on an arm are told apart by colour
_TELLABLE = 32.0


class Person(Protocol):
    """One rendered person with the truth about it."""

    @property
    def facts(self) -> Facts:
        """What the person wears."""

    @property
    def code(self) -> Array:
        """The person's Gaussian code (CODE_DIM,)."""

    def pose(self) -> tuple[Array, Array]:
        """DensePose's parts (S, S), and the joints (B, 2) in pixels."""

    def portrait(self, size: int) -> Portrait:
        """The person's image and its truth."""

    def record(self) -> Record:
        """The person in two layers of light, to be composed with any texture."""


@dataclass(frozen=True)
class PoolPerson:
    """A person of a pool of renders, by its number."""

    pool: Pool
    number: int

    @cached_property
    def code(self) -> Array:
        """The person's code (CODE_DIM,) float64."""
        return np.asarray(self.pool[self.number].code, np.float64)

    @cached_property
    def facts(self) -> Facts:
        """What the person wears."""
        return facts(person_from_code(self.code))

    def pose(self) -> tuple[Array, Array]:
        """Parts and joints."""
        record = self.record()
        return record.parts, record.joints

    def portrait(self, size: int) -> Portrait:
        """The person's image and its truth."""
        return portrait(self.record()).at(size)

    def record(self) -> Record:
        """The person in two layers of light."""
        return self.pool[self.number]


@dataclass(frozen=True)
class PeopleCases:
    """n people, and the colour, pattern and sleeves that are asked of each."""

    people: list[Person]
    wanted: list[tuple[str, str, str]]

    @property
    def prompts(self) -> list[str]:
        """One sentence a case."""
        return [
            prompt(*wanted, dress=who.facts.kind == "dress")
            for who, wanted in zip(self.people, self.wanted, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.people)

    def sitting(self, span: slice, size: int) -> PeopleSitting:
        """The people of some cases at `size` pixels."""
        people = self.people[span]
        portraits = [who.portrait(size) for who in people]
        worn = [who.facts.sleeve for who in people]
        return PeopleSitting(portraits, truth(portraits), worn, self.wanted[span])

    def recoloured(self, span: slice, size: int) -> Tensor:
        """Images of the people of some cases with their garments in the colours asked for."""
        found = []
        for who, (colour, _, _) in zip(self.people[span], self.wanted[span], strict=True):
            record = who.record()
            person = person_from_code(dressed(who.code, colour))
            image = compose(record, person.top_texture, person.bottom_texture)
            found.append(resampled(image, size))
        return as_images(found)


@dataclass(frozen=True)
class PeopleSitting:
    """A few people's portraits, their truth as tensors, the sleeves they wear, and what is asked of them."""

    portraits: list[Portrait]
    truth: Truth
    worn: list[str | None]
    wanted: list[tuple[str, str, str]]

    def measure(self, images: Tensor) -> list[Measurement]:
        return measure(as_arrays(images), self.portraits, [colour for colour, _, _ in self.wanted])

    def drift(self, generated: Tensor) -> tuple[Tensor, Tensor]:
        return surroundings.drift(generated, self.truth.images, self.portraits)

    def becomes_bare(self) -> list[bool]:
        return surroundings.becomes_bare(self.worn, [sleeve for _, _, sleeve in self.wanted])

    def bare_skin(self, images: Tensor) -> Tensor:
        return surroundings.bare_skin(images, self.portraits)


def cases(
    count: int, seed: int = 0, bare: bool = False, people: Sequence[Person] | None = None
) -> PeopleCases:
    """Pairs of person and wish. Every case asks for another colour than the person wears, and for one that
    differs from its skin.

    Each person comes once before one comes again. Left out are people whose arms are not seen, or whose
    sleeves are between two lengths.

    Args:
        count: pairs.
        seed: of order and wishes.
        bare: all people wear long sleeves and all cases ask for short ones or none.
        people: to choose from; None for the bundled gallery's.

    Raises:
        FiceError: fewer than one case; nobody is fit.
    """
    if count < 1:
        raise FiceError(f"count is {count}, but must be at least 1")
    rng = np.random.default_rng([seed, 1_000_003])
    fit = [who for who in (people if people is not None else gallery()) if _is_fit(who, bare)]
    if not fit:
        raise FiceError("nobody's sleeves can be told: render more people")
    lengths = [name for name in SLEEVES if not (bare and name == "long")]
    chosen: list[Person] = []
    while len(chosen) < count:
        chosen += [fit[k] for k in rng.permutation(len(fit))]
    chosen = chosen[:count]
    wanted = []
    for who in chosen:
        # a dress has no print
        patterns = PATTERNS[:-1] if who.facts.kind == "dress" else PATTERNS
        options = _colours(who)
        colour, pattern, sleeve = (
            names[int(rng.integers(len(names)))] for names in (options, patterns, lengths)
        )
        wanted.append((colour, pattern, sleeve))
    return PeopleCases(chosen, wanted)


def _is_fit(who: Person, bare: bool) -> bool:
    worn = who.facts.sleeve
    if worn is None or (bare and worn != "long"):
        return False
    return shows_arms(*who.pose())


def _colours(who: Person) -> list[str]:
    """The colours that can be asked of a person: neither worn nor like its skin."""
    person = person_from_code(who.code)
    table = to_lab(np.array(list(COLOURS.values())))
    distance = np.linalg.norm(table - to_lab(person.look.skin), axis=1)
    texture = person.top_texture
    worn = {colour_name(texture.colour)[0], colour_name(texture.ink)[0]}
    return [
        name
        for name, far in zip(COLOURS, distance, strict=True)
        if far > _TELLABLE and name not in worn
    ]
