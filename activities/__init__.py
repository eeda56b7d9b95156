"""Activities: the thin edges between workflows and the world. `signatures` and `messages` are all a workflow imports."""
