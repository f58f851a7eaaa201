"""The types of options and arguments that name a file or a folder, or count something."""

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


FILE_NAME = FileName()
#: Of anything counted. More is a slip of the finger, for which no memory would suffice.
MOST = 10**6
#: A number of something; what is too few is said where it is used.
COUNT = click.IntRange(max=MOST)
#: A number of processes or threads.
PROCESSORS = click.IntRange(1, 1024)
