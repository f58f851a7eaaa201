"""Which networks there are: the kinds that an edit needs, where they are published, where they lie here.

May import from `checkpoints`, `files`, `errors` and the layers below them. Nothing here imports torch at
its head, and only `download` opens a connection.
"""
