"""Stage 2: constrained GAN inversion, its objective, its start, and fits to the photo.

May import `extraction`, `acceleration`, `networks`, `latents`, `ops` and what lies below them.
"""

from .loop import invert
from .pivotal_tuning import Tuned, tune_generator
from .refinement import refine_latent
from .result import InversionInterrupted, InversionResult, OnStep, Phase, Step, StopReason
from .targets import Targets
from .trace import Trace

__all__ = [
    "InversionInterrupted",
    "InversionResult",
    "OnStep",
    "Phase",
    "Step",
    "StopReason",
    "Targets",
    "Trace",
    "Tuned",
    "invert",
    "refine_latent",
    "tune_generator",
]
