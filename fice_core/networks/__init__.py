"""The five networks: architecture only, no file reading."""
