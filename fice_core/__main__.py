"""`python -m fice_core` is `fice`."""

from .cli import main

main(prog_name="fice")
