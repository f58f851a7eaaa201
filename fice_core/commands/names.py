"""The types of options and arguments that name a file or a folder, or count something."""

import math
from typing import Any

import click

from ..errors import FiceError
from ..files import check_name


class FileName(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A name that the file system can hold; whether something is there is checked later."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; a usage error if it is empty, too long, or cannot be one."""
        try:
            check_name(value)
        except FiceError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class Number(click.FloatRange):
    """A finite number within bounds. Not a number compares with no bound, and infinity passes an open one."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; a usage error if it is not finite or out of bounds."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


FILE_NAME = FileName()
#: Of anything counted. More is a slip of the finger, for which no memory would suffice.
MOST = 10**6
#: A number of something; what is too few is said where it is used.
COUNT = click.IntRange(max=MOST)
#: A number of processes or threads.
PROCESSORS = click.IntRange(1, 1024)
