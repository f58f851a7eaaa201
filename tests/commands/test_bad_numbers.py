"""Numbers that are none, in every option that takes a fraction."""

import click
import pytest
from command import mistake

from fice_core.cli import main
from fice_core.commands.names import Number


def options() -> list[tuple[str, str]]:
    """The path of each command, and its options that take fractions."""
    found = []

    def visit(command: click.Command, path: str) -> None:
        if isinstance(command, click.Group):
            for name, child in command.commands.items():
                visit(child, f"{path} {name}")
            return
        found.extend(
            (path.strip(), parameter.opts[0])
            for parameter in command.params
            if isinstance(parameter.type, click.FloatRange)
        )

    visit(main, "")
    return found


@pytest.mark.parametrize(("command", "option"), options())
@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_a_number_is_finite_and_within_its_bounds(command: str, option: str, value: str) -> None:
    said = mistake(*command.split(), option, value)
    assert option in said
    assert "no finite number" in said or "range" in said


def test_numbers_pass() -> None:
    assert Number(0, 1)("0.25") == 0.25
    assert Number()("-1e3") == -1000.0
