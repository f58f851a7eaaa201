"""`fice bench`: the cost of a step, compared with what the machine can do."""

from __future__ import annotations

import click

from ..errors import FiceError
from .console import bar, say, warn
from .names import FILE_NAME, MOST, PROCESSORS
from .options import device_option, model_inputs, overwrite_option
from .outputs import replaced


def _numbers(context: click.Context, option: click.Parameter, value: str | None) -> list[int]:
    """Whole numbers > 0, as in "1,2,4"; a callback of options."""
    if value is None:
        return []
    try:
        numbers = [int(part) for part in value.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1 or max(numbers) > MOST:
        raise click.BadParameter(
            f"{value!r} is not a list of whole numbers from 1 to {MOST}, as in 1,2,4",
            context,
            option,
        )
    return numbers


@click.command("bench")
@click.option(
    "--models",
    "source",
    type=FILE_NAME,
    default="random",
    show_default=True,
    metavar="random|demo|DIR",
    help="Random networks of the published sizes, the demonstration models, or those in a folder.",
)
@click.option(
    "--batch",
    "batches",
    default="1",
    show_default=True,
    metavar="N,N...",
    callback=_numbers,
    help="Images at once.",
)
@click.option(
    "--size",
    "sizes",
    metavar="N,N...",
    callback=_numbers,
    help="Side of the random generator's images, 32 to 1024.  [default: 256]",
)
@click.option(
    "--repeat",
    type=click.IntRange(1, MOST),
    default=5,
    show_default=True,
    help="Number of measurements; their medians are reported.",
)
@device_option
@click.option("--threads", type=PROCESSORS, help="CPU threads.  [default: torch's choice]")
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="Measure the default settings compiled by torch, too.",
)
@click.option("--report", type=FILE_NAME, metavar="FILE.json", help="Write every figure here.")
@click.option("--plot", type=FILE_NAME, metavar="FILE.png", help="Draw stages and scaling here.")
@overwrite_option
def command(
    source: str,
    batches: list[int],
    sizes: list[int],
    repeat: int,
    device: str,
    threads: int | None,
    compiled: bool,
    report: str | None,
    plot: str | None,
    overwrite: bool,
) -> None:
    """Measure a step of the optimisation by stage.

    Prints the seconds and floating-point operations of every stage, compared with the machine's fastest
    matrix product; whole steps and, in turn, those of the authors' loop in plain torch; and the memory of
    both. Every batch is measured at the first size, and every other size with the first batch, each in
    its own process.
    """
    if sizes and source != "random":
        raise FiceError("--size chooses the size of random models: leave it out, or --models")
    from ..files import Output, check_paths

    written = {"--report": report, "--plot": plot}
    existing = check_paths(
        [Output(path, option) for option, path in written.items() if path],
        [] if source == "random" else model_inputs(source, None),
    )
    for line in replaced(existing, overwrite):
        warn(line)

    from ..models import resolve_device
    from ..profiling import full_size, measuring
    from ..profiling import report as reports

    for size in sizes:
        full_size.configurations(size)
    place = resolve_device(device)
    first = sizes[0] if sizes else None
    pairs = [(batch, first) for batch in batches] + [(batches[0], size) for size in sizes[1:]]
    configurations = [
        measuring.Configuration(source, batch, size, place, threads, repeat, compiled)
        for batch, size in pairs
    ]
    with bar("measuring", reports.count(configurations), unit="turn") as progress:
        found = reports.measure(configurations, lambda: progress.update())
    say(reports.table(found))
    for one in found:
        if one.timing is None or not one.memory:
            warn(f"{one.title}: memory ran out")
    if report:
        from ..files import write_json

        write_json(report, reports.to_dict(found))
        say(f"{report}: every figure")
    if plot:
        from ..profiling.chart import chart
        from ..reporting.plots import write_plot

        write_plot(plot, chart(found))
        say(f"{plot}: stages and scaling")
