"""FICE beside its rivals: pairs of photo and text, edits by every method, measures, and a page to vote on.

May import `rivals`, `batch`, `bridges`, `evaluation`, `reporting` and what lies below them.
"""
