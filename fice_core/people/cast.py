"""Who is in the bundled gallery: people of a seed that no training uses, some of them in other clothes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .code import CODE_DIM
from .dressing import dressed
from .maths import Array
from .record import Record

SEED = 4_000_003


@dataclass(frozen=True)
class Member:
    """The person `number` of the gallery's seed; what is given replaces colour, pattern and sleeves of its
    code."""

    number: int
    colour: str | None = None
    pattern: str | None = None
    sleeve: str | None = None

    @property
    def key(self) -> str:
        """The name of its render; colour and pattern need none of their own."""
        return f"{self.number:06d}" + (f"-{self.sleeve}" if self.sleeve else "")

    def code(self) -> Array:
        """The code (CODE_DIM,) float32 to render."""
        code = np.random.default_rng([SEED, self.number]).standard_normal(CODE_DIM)
        if self.sleeve:
            code = dressed(code, self.colour, self.pattern, self.sleeve)
        return code.astype(np.float32)

    def dress(self, record: Record) -> Record:
        """The person's record in the member's colour and pattern."""
        if self.colour is None and self.pattern is None:
            return record
        code = dressed(record.code, self.colour, self.pattern)
        return replace(record, code=code.astype(np.float32))


#: the first six are those of `demo.people`
CAST = (
    Member(1508),
    Member(5648),
    Member(491),
    Member(335),
    Member(2772),
    Member(5930),
    Member(2),
    Member(1848),
    Member(3745),
    Member(2567),
    Member(165),
    Member(1072),
    Member(1003, "green", "checks"),
    Member(3372),
    Member(2999),
    Member(3462),
    Member(4576),
    Member(5436),
    Member(4036),
    Member(207),
    Member(1136),
    Member(1167, "teal", "plain"),
    Member(5320),
    Member(4380),
    Member(1151),
    Member(5996),
    Member(4483),
    Member(3643),
    Member(4428),
    Member(163),
    Member(4393),
    Member(51),
    Member(450),
    Member(3238),
    Member(4791),
    Member(5664),
    Member(5323),
    Member(2150),
    Member(5673),
    Member(3860, "purple", "plain"),
    Member(2727),
    Member(5552),
    Member(3561),
    Member(1381),
    Member(1509),
    Member(5368),
    Member(2823),
    Member(4177),
    Member(5069),
    Member(4866),
    Member(1860, "purple", "floral"),
    Member(1593),
    Member(5164),
    Member(4194, "black", "dots"),
    Member(502, "grey", "plain"),
    Member(1641, "white", "stripes"),
    Member(5831),
    Member(2113),
    Member(3451),
)

#: the same persons in short and in long sleeves, for tests
PAIRS = tuple(
    Member(number, "blue", "plain", sleeve)
    for number in (491, 1508, 2772, 3745, 165, 3372)
    for sleeve in ("short", "long")
)
CASTS = {"gallery": CAST, "pairs": PAIRS}
