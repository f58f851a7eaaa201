"""Trains the demonstration models.

May import from `models`, `demo`, `checkpoints`, `networks` and the layers below them.
"""
