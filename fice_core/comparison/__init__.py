"""FICE beside its rivals: pairs of photo and text, edits of every method, measures, reports and a page to vote on.

May import `rivals`, `batch`, `bridges`, `evaluation`, `reporting` and what lies below them.
"""
