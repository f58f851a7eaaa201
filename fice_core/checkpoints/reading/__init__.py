"""Reads checkpoint files into plain records, without running any of their code.

May import from `errors`.
"""
