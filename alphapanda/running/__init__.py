"""Running the desk's processes on one machine: children that are kept alive, and all that `alphapanda up` starts."""
