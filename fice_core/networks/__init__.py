"""The networks: architecture only, no file reading."""
