"""Scores of edits and of masks, by measures that know the truth.

May import `editing`, `models`, `demo`, `people` and what lies below them.
"""

from .evaluator import cases_for, evaluate, load_judge, variants
from .tables import ScoreTable, VariantScores

__all__ = ["ScoreTable", "VariantScores", "cases_for", "evaluate", "load_judge", "variants"]
