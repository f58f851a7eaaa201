"""Stage 3: bring back from the photo what the edit must not change."""

import torch


def stitch(generated: torch.Tensor, original: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`generated` where `mask` is 1, `original` where it is 0, blended in between.

    Where the mask is 0 the result is the original bit for bit, whatever was generated there, even
    NaN: arithmetic alone does not promise that.

    Args:
        generated, original: (N, 3, H, W).
        mask: (N, 1, H, W) in [0, 1].

    Raises:
        ValueError: shapes do not agree.
    """
    if generated.shape != original.shape or mask.shape[-2:] != original.shape[-2:]:
        raise ValueError(
            f"generated {tuple(generated.shape)}, original {tuple(original.shape)} and mask "
            f"{tuple(mask.shape)} must have one size"
        )
    return torch.where(mask > 0, torch.lerp(original, generated, mask), original)


def stitch_head(
    generated: torch.Tensor, original: torch.Tensor, head: torch.Tensor
) -> torch.Tensor:
    """The paper's stitch, I_f = S_head(I) * I + (1 - S_head(I)) * G(w), with the soft mask.

    Args:
        generated, original: (N, 3, H, W).
        head: soft head mask of the original, (N, 1, H, W).
    """
    return head * original + (1 - head) * generated
