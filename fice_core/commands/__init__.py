"""The subcommands of `fice`, a module each. None imports torch before its command runs."""
