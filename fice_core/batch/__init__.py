"""Jobs, their groups and their edits; workers and a journal, so that a kill loses no result.

May import `reporting`, `editing` and what lies below them. Imports no torch before a worker starts.
"""
