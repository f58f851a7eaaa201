"""The network architectures; they read no files.

May import from `errors`, `settings`, `files`, `ops` and `images`.
"""
