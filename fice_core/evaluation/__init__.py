"""How good edits are, by measures that know the truth.

May import `editing`, `models`, `demo` and what lies below them.
"""

from .evaluator import cases, evaluate, load_judge, variants
from .tables import Report, Row

__all__ = ["Report", "Row", "cases", "evaluate", "load_judge", "variants"]
