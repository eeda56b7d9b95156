"""The commands, a file per group. What is slow to import is imported inside them, so that `--help` is quick."""
