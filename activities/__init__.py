"""Activities: thin edges between workflows and the world. Workflows import only `signatures` and `messages`."""
