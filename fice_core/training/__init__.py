"""Trains networks: the loop of every stage, and what is trained with it.

May import from `models`, `demo`, `checkpoints`, `networks` and the layers below them.
"""
