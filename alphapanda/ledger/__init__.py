"""The ledger: the facts, in Postgres. Models, engine, and one module of statements per use case."""
