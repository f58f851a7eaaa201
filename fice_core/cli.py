"""The `fice` command: its name, its subcommands, and how it ends.

Exit codes: 0 done, 2 a user's mistake (one line on stderr), 130 interrupted (one line). Any other
exception is a defect and keeps its traceback. Nothing here or in the heads of the commands imports
torch, so `fice --help` is fast.
"""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from .commands import (
    batch,
    bench,
    convert,
    demo,
    drift,
    edit,
    evaluate,
    inspect,
    mask,
    models,
    prepare,
    restore,
    train,
)
from .commands.console import complain, safe_streams, say, show_own_warnings
from .errors import FiceError

_MISTAKE, _INTERRUPTED = 2, 130


class Program(click.Group):
    """A click group that prints every mistake as one line."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **options: Any) -> NoReturn:
        """Run a command line and exit."""
        if not sys.warnoptions:
            show_own_warnings()
        options["standalone_mode"] = False  # click prints several lines
        with safe_streams():
            code = self._run(args, *positional, **options)
        sys.exit(code if isinstance(code, int) else 0)

    def _run(self, args: Sequence[str] | None, *positional: Any, **options: Any) -> Any:
        """Run a command line; the result is the exit code, or anything else if all is well."""
        try:
            return super().main(args, *positional, **options)
        except click.exceptions.Exit as end:
            return end.exit_code
        except click.ClickException as mistake:
            return _complain(mistake.format_message() + _usage_hint(mistake), _MISTAKE)
        except FiceError as mistake:
            return _complain(str(mistake), _MISTAKE)
        except (_Interrupted, click.Abort, KeyboardInterrupt) as interrupt:
            return _complain(str(interrupt) or "interrupted", _INTERRUPTED)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command. Click must not see an interrupt: it prints a line of its own."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise _Interrupted(str(interrupt)) from interrupt


class _Interrupted(Exception):
    """Ctrl-C, as an ordinary exception."""


def _complain(message: str, code: int) -> int:
    complain(message)
    return code


def _usage_hint(mistake: click.ClickException) -> str:
    context = getattr(mistake, "ctx", None)
    return f" (see {context.command_path} --help)" if context is not None else ""


@click.group(
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="comfyui-fice", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Edit the clothes of a person in a photo by a sentence; face, pose and background stay.

    Start with `fice demo`, which needs no photo and no download.
    """
    if context.invoked_subcommand is None:
        say(context.get_help())


for _command in (
    demo,
    edit,
    batch,
    restore,
    drift,
    mask,
    models,
    inspect,
    convert,
    evaluate,
    bench,
    prepare,
    train,
):
    main.add_command(_command.command)
