"""`fice batch`: many edits by several workers. A kill loses no finished result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import FiceError
from .console import bar, say, warn
from .names import FILE_NAME, PROCESSORS
from .options import (
    clip_arguments,
    directed,
    edit_options,
    negative_option,
    overwrite_option,
    settings_of,
    worn_option,
)
from .photos import check_folder, expand, merged

if TYPE_CHECKING:
    from ..batch.editor import Setup
    from ..batch.jobs import Job
    from ..batch.journal import Journal
    from ..batch.workers import Hire


@click.command("batch")
@click.argument("listed", type=FILE_NAME, metavar="JOBS")
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    metavar="TEXT",
    help="The garment, if JOBS is a folder. Repeat it for several edits of each image.",
)
@negative_option
@worn_option
@click.option(
    "-o",
    "--output",
    required=True,
    type=FILE_NAME,
    metavar="DIR",
    help="The folder for the results.",
)
@edit_options
@click.option(
    "--workers",
    type=PROCESSORS,
    help="Processes that edit at the same time; each loads the models.  [default: 1; with --ray, as "
    "many as fit]",
)
@click.option(
    "--threads",
    type=PROCESSORS,
    default=1,
    show_default=True,
    help="CPU threads of each worker. Another number can change the last bits.",
)
@click.option(
    "--ray",
    "address",
    metavar="ADDRESS",
    help="Use a Ray cluster: HOST:PORT, auto for that of this machine, or local.",
)
@overwrite_option
@click.option(
    "--restart", is_flag=True, help="Make all edits again, those of an earlier run included."
)
def command(
    listed: str,
    prompts: tuple[str, ...],
    negative: str,
    worn: str,
    output: str,
    source: str,
    clip: str | None,
    clip_architecture: str | None,
    device: str,
    workers: int | None,
    threads: int,
    address: str | None,
    overwrite: bool,
    restart: bool,
    **choices: Any,  # fields of the settings, and the preset
) -> None:
    """Make the edits in a table, or edit all images in a folder.

    JOBS is a CSV file with the columns photo and prompt and, if wanted, output, negative, from, mask and
    person; or a folder, with --prompt. After a kill, the same command continues.
    """
    from ..batch.driver import run
    from ..batch.editor import Setup
    from ..batch.groups import grouped, identity, look
    from ..batch.jobs import check, check_sizes
    from ..batch.journal import Journal, failures
    from ..files import make_folder, some_of
    from ..models import load_models, model_files, resolve_device
    from ..reporting.edit_report import package_version

    jobs = _jobs(listed, output, prompts, negative, worn)
    settings = settings_of(source=source, **choices)
    if any(job.worn.strip() for job in jobs):
        settings = directed(settings)
    folder = Path(output)
    check_folder([listed], folder)
    check(jobs, folder, table=None if os.path.isdir(listed) else listed)
    with bar("looking at the photos", len(jobs), unit="photo") as progress:
        inputs = look(jobs, progress.update)
    if address is None:
        device = resolve_device(device)
    architecture = {"clip architecture": clip_architecture} if clip_architecture else {}
    known = identity(
        jobs,
        inputs,
        settings,
        {kind: _file(path) for kind, path in model_files(source, clip).items()}
        | {"": clip, **architecture},
        {"device": device, "threads": threads, "fice": package_version()},
    )
    sizes = {name: file.size for name, file in inputs.items()}
    check_sizes(jobs, sizes)
    groups = grouped(jobs, sizes, apart=settings.tune_steps > 0, limit=settings.max_batch)
    setup = Setup(
        partial(load_models, source, **clip_arguments(clip, clip_architecture)),
        device,
        settings,
        threads,
    )
    outputs = [job.output for job in jobs]
    with Journal(make_folder(folder), known, restart, outputs, overwrite) as journal:
        if journal.altered and overwrite:
            names = some_of(journal.altered)
            warn(f"made again, because {folder} has other files of these names now: {names}")
        if journal.entries:
            say(f"{_made(journal)} of {len(jobs)} edits have been made before")
        with (
            _workers(address, workers, setup) as (hire, count),
            bar("editing", len(jobs), "edit") as progress,
        ):
            progress.update(_made(journal))
            try:
                lost = run(groups, journal, hire, count, progress.update)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"interrupted: {_made(journal)} of {len(jobs)} edits are made, and the "
                    "same command continues from there"
                ) from None
        entries = [journal.entries[number] for number in sorted(journal.entries)]
    for line in merged((line for entry in entries for line in entry.warnings), inputs):
        warn(line)
    _tell(jobs, {**failures(entries), **journal.unplaced, **lost}, folder)


def _jobs(
    listed: str, output: str, prompts: tuple[str, ...], negative: str, worn: str
) -> list[Job]:
    from ..batch.jobs import all_pairs
    from ..batch.table import read_table

    if os.path.isdir(listed):
        if not prompts:
            raise FiceError(f"{listed} is a folder: give the garment with --prompt")
        return all_pairs(expand([listed], output), prompts, negative, worn)
    if prompts:
        raise FiceError(f"the prompts are in the table {listed}: leave --prompt out")
    return read_table(listed, negative, worn)


@contextmanager
def _workers(address: str | None, count: int | None, setup: Setup) -> Iterator[tuple[Hire, int]]:
    """Yield a function that makes a worker, and the number of workers."""
    from ..batch import cluster, workers

    if address is not None:
        with cluster.cluster(address, setup) as (hire_there, room):
            yield hire_there, min(count or room, room)
        return
    import torch

    def hire(place: int) -> workers.LocalWorker:
        if setup.device != "cuda":
            return workers.LocalWorker(setup)
        return workers.LocalWorker(
            replace(setup, device=f"cuda:{place % torch.cuda.device_count()}")
        )

    yield hire, count or 1


def _file(path: Path) -> str:
    """A description of a large file that changes with its content."""
    status = path.stat()
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"


def _made(journal: Journal) -> int:
    return sum(
        name not in journal.unplaced for entry in journal.entries.values() for name in entry.parts
    )


def _tell(jobs: list[Job], failed: dict[str, str], folder: Path) -> None:
    """Print how the batch ended.

    Raises:
        FiceError: not all edits were made.
    """
    for job in jobs:
        if job.output in failed:
            warn(f"{job.place}: {job.output} was not made: {_reason(failed[job.output], job)}")
    if failed:
        rest = f"; the others are in {folder}" if len(failed) < len(jobs) else ""
        raise FiceError(f"{len(failed)} of {len(jobs)} edits failed, see above{rest}")
    say(f"{folder}: {len(jobs)} edits")


def _reason(reason: str, job: Job) -> str:
    """Why a job failed, without the name of its photo at the beginning: its place tells the photo."""
    for ending, instead in ((": ", ""), (" ", "the photo ")):
        if reason.startswith(job.photo + ending):
            return instead + reason[len(job.photo + ending) :]
    return reason
