"""The processes: `run` supervises one process per role (`orders`, `broker`, `feed`)."""
