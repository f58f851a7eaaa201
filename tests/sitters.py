"""People of the bundled gallery with their truth, for tests that need images and know what is in them."""

from functools import cache
from pathlib import Path

from fice_core.demo.gallery import Gallery, gallery
from fice_core.demo.people import Truth, truth
from fice_core.people.cast import Member
from fice_core.people.portrait import portrait

PAIRS = Path(__file__).parent / "pairs"


def sitters(count: int, size: int, first: int = 0) -> Truth:
    """`count` people of the gallery from number `first` on, at `size` pixels."""
    people = gallery()
    return truth([people[k].portrait(size) for k in range(first, first + count)])


@cache
def dressed_alike(sleeve: str, colour: str, size: int = 256) -> Truth:
    """The persons of the pairs, always the same, in plain tops with "short" or "long" sleeves.

    `python -m fice_core.people.gallery tests/pairs --cast pairs` renders them.
    """
    records = [who.record() for who in Gallery(PAIRS) if who.facts.sleeve == sleeve]
    worn = [Member(0, colour, "plain").dress(record) for record in records]
    return truth([portrait(record).at(size) for record in worn])
