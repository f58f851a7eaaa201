"""Files to plain records: archives and pickles are read without running any of their code.

May import `errors`.
"""
