"""People of the bundled gallery with their truth, for tests that need images and know what is in them."""

from fice_core.demo.gallery import gallery
from fice_core.demo.people import Truth, truth


def sitters(count: int, size: int, first: int = 0) -> Truth:
    """`count` people of the gallery from number `first` on, at `size` pixels."""
    people = gallery()
    return truth([people[k].portrait(size) for k in range(first, first + count)])
