"""`fice convert`: write any checkpoint that FICE reads as safetensors."""

from pathlib import Path

import click

from ..errors import FiceError
from .console import bar, say, warn
from .names import FILE_NAME
from .options import clip_architecture_option, overwrite_option
from .outputs import replaced


@click.command("convert")
@click.argument("file", type=FILE_NAME)
@click.argument("out", type=FILE_NAME, metavar="OUT.safetensors")
@click.option("--half", is_flag=True, help="Store filters and matrices as float16.")
@clip_architecture_option
@overwrite_option
def command(
    file: str, out: str, half: bool, clip_architecture: str | None, overwrite: bool
) -> None:
    """Write the network in a checkpoint FILE as safetensors.

    The new file holds only this network, with its kind and settings, and loads faster.
    """
    from .. import checkpoints
    from ..files import Output, check_paths

    if Path(out).suffix.lower() != ".safetensors":
        raise FiceError(f"the output is {out}, but its name must end in .safetensors")
    for line in replaced(check_paths([Output(out, "OUT")], [file]), overwrite):
        warn(line)
    with bar(f"reading {file}"):
        network = (
            checkpoints.load_clip(file, clip_architecture)
            if clip_architecture
            else checkpoints.load(file)
        )
    with bar(f"writing {out}"):
        checkpoints.save(network, out, half=half)
    say(checkpoints.describe(out).summary)
    say(f"{_megabytes(checkpoints.weights_file(file))} -> {_megabytes(out)}")


def _megabytes(path: str | Path) -> str:
    return f"{Path(path).stat().st_size / 1e6:.1f} MB"
