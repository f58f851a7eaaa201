"""Detects the persons in a photo and selects the frame around the one to edit.

May import from `extraction`, `networks`, `framing`, `ops` and the layers below them.
"""
