"""Measure how soon our settings reach the objective of the authors' loop after its 501 steps.

    python benchmarks/bench_objective.py --count 8
    python benchmarks/bench_objective.py --models random --count 1 --only "the same, "  # published sizes

All loops have the same targets. Where the name of a row says so, they have the paper's weights too, so
the paper's weighted sum can be computed at each step. If head and pose are not computed at a step, their
last values are used. The last column computes every term at the codes of the result. Times include the
search for a start. Prints Markdown.
"""

import argparse
import time
from dataclasses import replace

import torch

from fice_core import EditSettings
from fice_core.demo.renderer import render
from fice_core.editing.prepare import PromptFeatures, prepare
from fice_core.evaluation.drawn import cases
from fice_core.inversion.loop import invert
from fice_core.inversion.objective import Objective
from fice_core.inversion.result import Step
from fice_core.inversion.targets import Targets
from fice_core.models import Models
from fice_core.ops.autograd import without_grad
from fice_core.profiling.measuring import RANDOM, Configuration, make_targets, models_for

PAPER = EditSettings.paper()


def paper_sum(step: Step) -> torch.Tensor:
    """The paper's objective at one step, (N,); not finite for images that are finished."""
    weights = PAPER.weights.as_dict()
    return torch.stack(
        [weight * step.values[name] for name, weight in weights.items() if weight]
    ).sum(dim=0)


def targets_of(models: Models, count: int, seed: int) -> Targets:
    """Targets of the held-out pairs of figure and prompt."""
    todo = cases(count, seed)
    photos = render(todo.figures, models.generator.resolution[0]).images
    with without_grad():
        texts = PromptFeatures.of(models.clip, todo.prompts, "", "")
        return prepare(models, photos, texts, PAPER, None, None, lambda step: None).targets


def main() -> None:
    """Run the loops and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="demo", choices=["demo", RANDOM])
    parser.add_argument("--count", type=int, default=8, help="held-out pairs, in one batch")
    parser.add_argument("--seed", type=int, default=0, help="another draw of the pairs")
    parser.add_argument("--steps", type=int, default=PAPER.steps, help="steps of the authors' loop")
    parser.add_argument(
        "--only", default="", help="only rows whose name contains this, and the paper's"
    )
    options = parser.parse_args()
    models = models_for(Configuration(options.models), quick=True)
    if options.models == RANDOM:
        targets = make_targets(models, options.count)
    else:
        targets = targets_of(models, options.count, options.seed)
    judge = Objective(models.generator, PAPER, models.clip, models.densepose, models.segmenter)

    def run(settings: EditSettings) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Return the best sum so far, (steps, N), the seconds since the start, (steps,), and the mean
        of the exact sums at the codes found."""
        sums, seconds = [], []
        start = time.monotonic()

        def note(step: Step) -> None:
            sums.append(paper_sum(step).nan_to_num(nan=torch.inf))
            seconds.append(time.monotonic() - start)

        found = invert(
            models.generator,
            targets,
            settings,
            clip=models.clip,
            densepose=models.densepose,
            segmenter=models.segmenter,
            on_step=note,
        )
        with torch.no_grad():
            exact = judge.judge(found.w_plus, targets, settings.max_batch).total.mean()
        return torch.stack(sums).cummin(dim=0).values, torch.tensor(seconds), float(exact)

    sums, seconds, exact = run(replace(PAPER, steps=options.steps))
    goal, whole = sums[-1], float(seconds[-1])
    print(f"{options.count} pairs, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print(
        "| settings | steps | s | best objective | pairs that reach it | share of the time | at the end |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    print(
        f"| paper | {len(sums)} | {whole:.1f} | {goal.mean():.4f} | | | {exact:.4f} |", flush=True
    )
    ours = replace(EditSettings(), weights=PAPER.weights, clamp=False)
    # Seeks the paper's sum with free codes; the default holds them near the mapping network's output.
    alike = replace(
        ours,
        coordinates="w",
        start_candidates=0,
        learning_rate=0.4,
        beta1=0.7,
        beta2=0.9,
        head_scale=1.0,
        plateau_patience=None,
    )
    for name, settings in (
        ("default", EditSettings()),
        ("default, the paper's weights", ours),
        ("the same, every layer free", replace(ours, layer_freedom=1.0)),
        ("in w, no random codes, betas 0.7 and 0.9, rate 0.4", alike),
        ("the same, 130 steps", replace(alike, steps=130)),
        ("the same, 130 steps, torch's betas", replace(alike, steps=130, beta1=0.9, beta2=0.999)),
        ("the same, 240 steps", replace(alike, steps=240)),
        ("the same, 300 steps", replace(alike, steps=300)),
    ):
        if options.only not in name:
            continue
        sums, seconds, exact = run(settings)
        there = sums <= goal
        first = seconds[there.int().argmax(dim=0)][there.any(dim=0)]
        share = f"{float(first.median()) / whole:.3f} (median)" if len(first) else "–"
        print(
            f"| {name} | {len(sums)} | {seconds[-1]:.1f} | {sums[-1].mean():.4f} | "
            f"{len(first)} of {options.count} | {share} | {exact:.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
