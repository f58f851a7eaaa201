"""`fice bench`: its networks, the machine, the table, and the command."""

import json
import mmap
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import bench_work
import pytest
import torch
from bench_work import TINY
from click.testing import CliRunner, Result

from fice_core.cli import main
from fice_core.errors import FiceError
from fice_core.inversion import critics
from fice_core.inversion.objective import FORWARD
from fice_core.profiling import machine, measuring, processes, report
from fice_core.profiling.full_size import configurations, random_models
from fice_core.profiling.measuring import Configuration
from fice_core.profiling.memory import PeakMemory
from fice_core.profiling.results import OURS, PAPER, PLAIN, Loop, Memory, Timing
from fice_core.profiling.stages import OPTIMISER

LAYOUTS = Path(__file__).parents[1] / "parity" / "layouts"


@pytest.fixture(autouse=True)
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_SIDE", 64)


@pytest.mark.parametrize(
    ("kind", "layout", "module", "prefix"),
    [
        ("generator", "generator", "stylegan2", ""),
        ("encoder", "e4e", "e4e", "encoder."),
        ("densepose", "densepose", "densepose", ""),
        ("segmenter", "segmenter", "segmenter", "model."),
        ("clip", "clip_rn50x4", "clip", ""),
    ],
)
def test_full_size_is_that_of_the_published_files(
    kind: str, layout: str, module: str, prefix: str
) -> None:
    file = json.loads((LAYOUTS / f"{layout}.json").read_text())
    state = {
        key.removeprefix(prefix): torch.empty(shape, device="meta")
        for key, shape, _ in file["tensors"]
    }
    found = import_module(f"fice_core.networks.{module}").infer_config(state)
    assert configurations()[kind] == found


def test_other_sizes_have_more_layers_and_impossible_ones_are_refused() -> None:
    large = configurations(1024)
    assert large["generator"]["resolution"] == [1024, 1024]
    assert large["encoder"]["num_styles"] == 18
    for size in (100, 16, 2048):
        with pytest.raises(FiceError, match="power of two"):
            configurations(size)


def test_random_networks_are_reproducible_and_do_not_change_torchs_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = random_models(TINY), random_models(TINY)
    assert torch.equal(torch.rand(3), expected)
    for name, value in first.clip.state_dict().items():
        assert torch.equal(value, second.clip.state_dict()[name])
    other = random_models(TINY, seed=1)
    assert not torch.equal(first.generator.mapping.fc0.weight, other.generator.mapping.fc0.weight)


@pytest.mark.parametrize("has_it", [True, False])
def test_fastest_product_is_kept_and_absent_formats_are_not_named(
    has_it: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {torch.float32: iter([3e9, 7e9, 2e9]), torch.bfloat16: iter([8e9, 1e9, 9e9])}

    def rate(self: machine.Peaks, side: int, dtype: torch.dtype) -> float:
        return next(given[dtype])

    monkeypatch.setattr(machine.Peaks, "_rate", rate)
    monkeypatch.setattr(machine, "multiplies_bfloat16", lambda device: has_it)
    peaks = machine.Peaks(torch.device("cpu"))
    for _ in range(3):
        peaks.sample()
    assert peaks.rates == {"fp32": 7e9} | ({"bf16": 9e9} if has_it else {})


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells")
def test_peak_memory_includes_memory_that_was_freed() -> None:
    with PeakMemory(torch.device("cpu")) as memory:
        # Straight from the system: an allocator may answer with memory that the process holds already.
        block = mmap.mmap(-1, 1 << 27)  # 128 MB
        block.write(b"1" * len(block))
        for _ in range(500):  # until the other thread has had a turn
            time.sleep(0.01)
            if (memory.peak or 0) - (memory.before or 0) > 100e6:
                break
        block.close()
    assert memory.before is not None
    assert memory.peak is not None
    assert 100e6 < memory.peak - memory.before < 400e6


def test_results_errors_and_deaths_of_other_processes() -> None:
    turns: list[None] = []

    def run(work: Callable[..., Any], *arguments: Any) -> Any:
        return processes.in_fresh_process(work, *arguments, progress=lambda: turns.append(None))

    pid, doubled = run(bench_work.double, 21)
    assert (doubled, len(turns)) == (42, 2)
    assert pid != os.getpid()
    with pytest.raises(FiceError, match="no such thing"):
        run(bench_work.mistaken)
    with pytest.raises(processes.OutOfMemoryError, match="none left"):
        run(bench_work.without_memory)
    if sys.platform != "win32":
        with pytest.raises(processes.OutOfMemoryError, match="signal 9"):
            run(bench_work.killed)
    with pytest.raises(RuntimeError, match="exit code 1"):
        run(bench_work.broken)


def known_timing(batch: int = 1) -> Timing:
    return Timing(
        resolution=(256, 256),
        stages={FORWARD: Loop([1.0], 30e9), "clip": Loop([0.4, 0.6, 9.0], 60e9)},
        loops={
            OURS: Loop([2.0, 1.9, 7.0], 90e9),
            PAPER: Loop([3.0], 90e9),
            PLAIN: Loop([4.0, 4.0], 120e9),
        },
        encoder=Loop([0.5], 10e9),
        peaks={"fp32": 100e9},
        machine=machine.Machine("Calculator", 2, 1, "2.0", "2026-01-01", None),
    )


def test_ratios_and_table_of_known_times() -> None:
    timing = known_timing()
    assert timing.ratio(OURS) == 0.5
    assert timing.ratio(PAPER) == 0.75
    assert timing.covered == pytest.approx(1.6 / 2.0)
    memory = {OURS: Memory(2_000_000_000, 3_000_000_000), PLAIN: Memory(None, None)}
    out = report.Measured(Configuration("random", 8, 512), None, {})
    text = report.table([report.Measured(Configuration("random"), timing, memory), out])
    # 60 GFLOP in 0.6 s are 100 GFLOP/s, all that the machine has, and 30 % of the 2 s of a step.
    clip = "| CLIP, forward and backward | 0.6000 | 30 % | 60.00 | 100 | 100 % | 0.6000 |"
    assert clip in text
    assert "The stages sum to 80 % of the step." in text
    assert "default: 0.50 of the plain loop, paper settings: 0.75 of the plain loop" in text
    row = "| 1 | 256 x 256 | 2.000 | 2.000 | 3.000 | 4.000 | 0.50 | 0.75 | 2.00 GB | 3.00 GB | – |"
    assert row in text
    assert "512 pixels, batch 8: memory ran out" in text
    assert "Calculator, 2 cores, 1 threads, torch 2.0, 2026-01-01" in text


def test_floor_counts_every_operation_in_its_own_format() -> None:
    loop = Loop([1.0], flops=90e9, rounded_flops=60e9)
    assert loop.floor({"fp32": 100e9, "bf16": 200e9}) == pytest.approx(0.3 + 0.3)
    assert loop.floor({"fp32": 100e9, "TF32": 300e9, "bf16": 200e9}, "TF32") == pytest.approx(0.4)
    assert loop.floor({"fp32": 100e9}) == pytest.approx(0.9)


def fice(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def tiny_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks instead of full-size ones, measured in this process; memory is too small for 4 images."""

    def here(work: Callable[..., Any], *arguments: Any, progress: Callable[[], None]) -> Any:
        if arguments[0].batch == 4:
            raise processes.OutOfMemoryError("killed by signal 9")
        return work(*arguments, progress)

    monkeypatch.setattr(report, "in_fresh_process", here)
    monkeypatch.setattr(measuring, "configurations", lambda size: TINY)


@pytest.mark.parametrize("has_it", [True, False])
@pytest.mark.usefixtures("tiny_here")
def test_command_writes_table_report_and_plot(
    has_it: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (machine, measuring, critics):
        monkeypatch.setattr(module, "multiplies_bfloat16", lambda device: has_it)
    figures, plot = tmp_path / "bench.json", tmp_path / "bench.png"
    options = ("--batch", "1,4", "--repeat", 1, "--device", "cpu")
    # Torch's tracing without the compiler, which takes half a minute.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    asked = ("--compile",) if has_it else ()
    result = fice("bench", *options, *asked, "--report", figures, "--plot", plot)
    assert result.exit_code == 0
    assert ("| compiling, once per process |" in result.stdout) == has_it
    assert result.stdout.count("| generator, forward |") == 1
    assert "batch 4: memory ran out" in result.stderr
    entries = json.loads(figures.read_text())["configurations"]
    assert [entry["configuration"]["batch"] for entry in entries] == [1, 4]
    first, second = (entry["timing"] for entry in entries)
    assert list(first["loops"])[:3] == [OURS, PAPER, PLAIN]
    assert list(first["stages"])[-1] == OPTIMISER
    flops = {name: loop["flops"] for name, loop in first["loops"].items()}
    assert flops[OURS] < flops[PAPER]
    in_fp32 = f"{OURS}, fp32"
    assert (in_fp32 in flops) == has_it
    compiled = f"{OURS}, compiled"
    assert flops.get(compiled) == (flops[OURS] if has_it else None)
    assert (first["compiling"] is not None) == has_it
    for name, loop in first["loops"].items():
        assert (loop["rounded_flops"] > 0) == (has_it and name in (OURS, compiled))
    rounded = {n: s["rounded_flops"] for n, s in first["stages"].items() if s["rounded_flops"]}
    assert sorted(rounded) == (["clip", "head", "pose"] if has_it else [])
    for name, part in rounded.items():
        assert 0.7 < part / first["stages"][name]["flops"] <= 1
    # In the plain loop the weights of every sample's own have a gradient too.
    assert flops[PLAIN] > 1.05 * flops[PAPER]
    assert all(len(loop["seconds"]) == 1 for loop in first["loops"].values())
    seconds = {name: loop["seconds"][0] for name, loop in first["loops"].items()}
    assert first["ratio_to_plain"][OURS] == pytest.approx(seconds[OURS] / seconds[PLAIN])
    assert second is None
    assert plot.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("alone", [True, False], ids=["does not fit", "does not fit beside ours"])
def test_a_plain_loop_that_does_not_fit_is_left_out(
    alone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(work: Callable[..., Any], *arguments: Any, progress: Callable[[], None]) -> Any:
        timed = work is measuring.measure_time
        if arguments[0].plain if timed else alone and arguments[1] == PLAIN:
            raise processes.OutOfMemoryError("killed by signal 9")
        return work(*arguments, progress)

    monkeypatch.setattr(report, "in_fresh_process", here)
    monkeypatch.setattr(measuring, "configurations", lambda size: TINY)
    figures, plot = tmp_path / "bench.json", tmp_path / "bench.png"
    asked = ("--repeat", 1, "--device", "cpu", "--report", figures, "--plot", plot)
    result = fice("bench", *asked)
    assert result.exit_code == 0
    assert "Memory ran out with the plain loop." in result.stdout
    row = next(line for line in result.stdout.splitlines() if line.startswith("| 1 |"))
    assert row.count("| – ") == 3 + alone
    timing = json.loads(figures.read_text())["configurations"][0]["timing"]
    assert PLAIN not in timing["loops"]
    assert timing["ratio_to_plain"][OURS] is None
    assert plot.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), [(1, None)]),
        (("--batch", "1,2"), [(1, None), (2, None)]),
        (("--batch", "2,4", "--size", "64,128"), [(2, 64), (4, 64), (2, 128)]),
    ],
)
def test_batches_at_the_first_size_and_sizes_with_the_first_batch(
    options: tuple[str, ...],
    expected: list[tuple[int, int | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Configuration] = []

    def measure(given: list[Configuration], progress: Callable[[], None]) -> list[report.Measured]:
        asked.extend(given)
        return [report.Measured(one, known_timing(), {OURS: Memory(1, 2)}) for one in given]

    monkeypatch.setattr(report, "measure", measure)
    assert fice("bench", *options, "--device", "cpu", "--threads", 3).exit_code == 0
    assert [(one.batch, one.size) for one in asked] == expected
    assert {(one.source, one.threads, one.repeat) for one in asked} == {("random", 3, 5)}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--batch", "0"), "list of whole numbers"),
        (("--batch", "two"), "list of whole numbers"),
        (("--batch", ""), "list of whole numbers"),
        (("--repeat", "0"), "--repeat"),
        (("--threads", "0"), "--threads"),
        (("--size", "100"), "power of two"),
        (("--size", "256", "--models", "demo"), "--size"),
        (("--device", "abacus"), "abacus"),
        (("--report", "no/such/folder/x.json"), "no/such/folder"),
        (("--models", "no/such/folder", "--device", "cpu"), "no folder of models"),
    ],
)
@pytest.mark.usefixtures("tiny_here")
def test_errors_are_reported_in_one_line(arguments: tuple[str, ...], part: str) -> None:
    result = fice("bench", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("fice: ")
    assert result.stderr.count("\n") == 1
    assert part in result.stderr
