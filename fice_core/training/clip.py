"""Fine-tunes a CLIP on photos and their captions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..datasets import Sample
from ..errors import FiceError
from ..networks.clip import Clip, TimmTower
from ..networks.tokenizer import Tokenizer
from .demonstration.clip import attack, contrastive_loss
from .dice import Dice
from .distributed import Processes, generator_of, shuffled
from .examples import divided, moved, photographed, size_of
from .fine_tuning import Outcome, Tuning, fine_tune, uses_half
from .loop import Schedule
from .photos import Photos

log = logging.getLogger(__name__)

#: learning rates of networks with their own vocabulary, which are small, and of published ones
RATES = {"small": 3e-4, "published": 1e-5}
_LARGEST_SCALE = 100.0  # of the logits, as in the paper
_BATCH = 32  # held-out photos that are encoded at once


def is_small(network: Clip) -> bool:
    """Whether a CLIP has a vocabulary of its own, as the bundled one."""
    return network.config["vocabulary"] is not None


def train(
    network: Clip,
    samples: Sequence[Sample],
    folder: Path,
    schedule: Schedule,
    tuning: Tuning,
    processes: Processes | None = None,
    height: int | None = None,
    share: float = 0.1,
    frozen: float = 0.0,
    attacked: float = 0.0,
) -> Outcome[Clip]:
    """Train, or resume training, by the symmetric contrastive loss.

    Photos of a batch that have the same caption all count as its images.

    Args:
        network: the CLIP to start from.
        samples: photos; those with captions are used. One caption is drawn for each photo of a step.
        folder: of checkpoint and log.
        schedule: length of the training.
        tuning: see there.
        processes: that train together.
        height: of the images; None for that of the photos.
        share: of the photos that are held out.
        frozen: share of the layers of both towers, from below, that keep their weights.
        attacked: largest change of a pixel, in units of [0, 1], against which the network is made robust; 0
            for none. Gradients of a robust network point to visible changes of a garment.

    Returns:
        Figures are the shares of held-out captions that agree most with a photo of theirs
        (`caption to photo`), and of photos with a caption of theirs (`photo to caption`).

    Raises:
        FiceError: there are too few captions, or see `fine_tune`.
    """
    processes = processes or Processes()
    captions = usable_captions(network, samples)
    kept, out = divided([s for s in samples if captions[s.name]], share, "a caption")
    if len(kept) < tuning.batch:
        raise FiceError(
            f"{len(kept)} photos with captions are fewer than a batch of {tuning.batch}: give a smaller "
            "--batch"
        )
    size = size_of(kept, height)
    examples, shown = Photos(kept, size), Photos(out, size)
    device = processes.device
    network = network.to(device).requires_grad_(True)
    still = lower_layers(network, frozen)
    half = uses_half(tuning, device)
    shared = processes.share(tuning.batch)

    def image_features(images: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            return network.encode_image(images).float()

    def loss(i: int) -> tuple[Tensor, dict[str, Tensor]]:
        order = shuffled(len(examples), tuning.batch, tuning.seed, i)
        dices = [Dice(generator_of(tuning.seed, i, k), 1) for k in range(tuning.batch)]
        texts = []
        for k, dice in zip(order, dices, strict=True):
            options = captions[kept[k].name]
            texts.append(options[int(float(dice.draw()) * len(options))])
        rows = []
        for position in shared:
            pixels = examples[order[position]].image[None].float() / 255
            pixels, _ = moved(pixels, None, dices[position])
            rows.append(photographed(pixels, dices[position]))
        images = torch.cat(rows).to(device)
        same = torch.tensor([[one == other for other in texts] for one in texts], device=device)
        scale = network.model.logit_scale.exp().clamp(max=_LARGEST_SCALE)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            own = network.encode_text(texts[shared.start : shared.stop]).float()
        text = everybody(own, processes)
        if attacked > 0:
            fixed = text.detach()[shared.start : shared.stop]
            near = same[shared.start : shared.stop, shared.start : shared.stop]
            images = attack(
                images,
                lambda x: contrastive_loss(image_features(x), fixed, scale.detach(), near, ~near),
                attacked,
                dices[shared.start].generator,
            )
        image = everybody(image_features(images), processes)
        value = contrastive_loss(image, text, scale, same, ~same)
        with torch.no_grad():
            best = (text @ image.t()).argmax(1)
            hit = same[torch.arange(len(best), device=device), best].float().mean()
        return value, {"top1": hit, "scale": scale.detach()}

    return fine_tune(
        "clip",
        folder,
        network,
        loss,
        schedule,
        tuning,
        processes,
        lambda average: measure(average, shown, [captions[s.name][0] for s in out], device),
        {
            "photos": len(kept),
            "size": f"{size[1]}x{size[0]}",
            "frozen": frozen,
            "attack": attacked,
            "network": network.config,
        },
        still,
    )


def everybody(rows: Tensor, processes: Processes) -> Tensor:
    """Features of the whole batch from those of this process's share, with their gradient alone.

    The mean of the gradients over all processes then is that of the loss of the whole batch.
    """
    if processes.count == 1:
        return rows
    others = processes.gather(rows)
    own = processes.rank * len(rows)
    scaled = rows * processes.count - (rows * (processes.count - 1)).detach()
    return torch.cat([others[:own], scaled, others[own + len(rows) :]])


def usable_captions(network: Clip, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
    """The captions of each sample by its name, cut to what the network can read.

    Words that are not in the network's vocabulary are told in the log.
    """
    found: dict[str, tuple[str, ...]] = {}
    cut, unknown = 0, set()
    for sample in samples:
        texts = []
        for caption in sample.captions:
            text = shortened(network.tokenizer, caption)
            cut += text != caption
            unknown |= {*network.unknown_words(text)}
            if text:
                texts.append(text)
        found[sample.name] = tuple(dict.fromkeys(texts))
    if cut:
        log.info("clip: %d captions are too long for this CLIP and are cut", cut)
    if unknown:
        some = ", ".join(sorted(unknown)[:8])
        log.info("clip: %d words are not in its vocabulary: %s", len(unknown), some)
    return found


def shortened(tokenizer: Tokenizer, text: str) -> str:
    """A text without its last words, as far as they are too many for a tokenizer."""
    words = text.split()
    low, high = 0, len(words)
    while low < high:  # the most words that fit
        middle = (low + high + 1) // 2
        try:
            tokenizer([" ".join(words[:middle])])
            low = middle
        except FiceError:
            high = middle - 1
    return text if low == len(words) else " ".join(words[:low])


def lower_layers(network: Clip, share: float) -> list[nn.Module | nn.Parameter]:
    """What keeps its weights in both towers: stem, embeddings, and the lower `share` of the blocks.

    Raises:
        FiceError: the layers of the network's vision tower are not known.
    """
    if share <= 0:
        return []
    model = network.model
    visual = model.visual
    if isinstance(visual, TimmTower):
        raise FiceError("the layers of this CLIP's vision tower are not known: leave --freeze out")
    if hasattr(visual, "transformer"):
        stem = [visual.conv1, visual.ln_pre, visual.class_embedding, visual.positional_embedding]
        blocks = [*visual.transformer.resblocks]
    else:
        stem = [getattr(visual, f"{kind}{k}") for k in (1, 2, 3) for kind in ("conv", "bn")]
        blocks = [visual.layer1, visual.layer2, visual.layer3, visual.layer4]
    text = [model.token_embedding, model.positional_embedding]
    text_blocks = [*model.transformer.resblocks]
    return [
        *stem,
        *blocks[: round(share * len(blocks))],
        *text,
        *text_blocks[: round(share * len(text_blocks))],
    ]


@torch.no_grad()
def measure(
    network: Clip, examples: Photos, captions: Sequence[str], device: torch.device
) -> dict[str, float]:
    """Shares of held-out captions and photos that find each other among all held-out ones."""
    network.eval()
    parts = [range(k, min(k + _BATCH, len(examples))) for k in range(0, len(examples), _BATCH)]
    image = torch.cat([network.encode_image(examples.images(p).to(device)) for p in parts])
    text = torch.cat([network.encode_text([captions[k] for k in p]) for p in parts])
    same = torch.tensor([[one == other for other in captions] for one in captions], device=device)
    agreement = text @ image.t()
    rows = torch.arange(len(captions), device=device)
    return {
        "caption to photo": float(same[rows, agreement.argmax(1)].float().mean()),
        "photo to caption": float(same[agreement.argmax(0), rows].float().mean()),
        "by chance": float(same.float().mean()),
    }
