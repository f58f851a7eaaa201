"""Operations on plain tensors that know nothing of networks or persons.

May import `errors` and `settings`.
"""
