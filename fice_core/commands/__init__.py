"""The subcommands of `fice`, and what they share. None imports torch before its command runs."""
