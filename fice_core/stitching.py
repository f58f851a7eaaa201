"""Stage 3: bring back from the photo what the edit must not change."""

import torch


def stitch_head(
    generated: torch.Tensor, original: torch.Tensor, head: torch.Tensor
) -> torch.Tensor:
    """The paper's stitch, I_f = S_head(I) * I + (1 - S_head(I)) * G(w), with the soft mask.

    Args:
        generated, original: (N, 3, H, W).
        head: soft head mask of the original, (N, 1, H, W).
    """
    return head * original + (1 - head) * generated
