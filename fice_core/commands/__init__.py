"""The subcommands of `fice`, one module each, and the options, images and output that they share.

May import everything but `cli`. Imports no torch before a command runs.
"""
