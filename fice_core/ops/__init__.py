"""Operations on plain tensors, independent of networks and persons.

May import from `errors`, `settings` and `files`.
"""
