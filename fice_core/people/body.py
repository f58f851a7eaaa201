"""The body of a person: rest shape, pose and part labels."""

from __future__ import annotations

from .anny_model import anny_model
from .assets import assets
from .attributes import Person
from .pose import Posed


def posed_body(person: Person) -> Posed:
    """The posed, undressed body of `person`; it is never rendered as it is."""
    rest, joints = anny_model().rest(
        person.body.phenotype, person.body.changes, person.body.actions
    )
    clearance = 0.010 + person.top.ease + 0.006 * person.top.knit
    return Posed(assets(), rest, joints, person.pose, clearance)
