"""Trains the demonstration models on rendered people.

May import from `training.loop`, `people`, and what `training` may.
"""
