"""Measures the cost of a step of an edit for `fice bench`: by stage, at peak speed, and in a plain loop.

May import from `inversion`, `models`, `latents` and the layers below them.
"""
