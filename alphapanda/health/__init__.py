"""The checks of `alphapanda doctor`."""
