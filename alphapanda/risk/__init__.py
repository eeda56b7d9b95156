"""Risk: rules as pure functions over a candidate order and a snapshot of the book."""
