"""The paper exchange: a small exchange of our own behind the Broker protocol.

The core is pure (`exchange` over a `book`, with `matching`, `positions`, `margins`, `rules`, `chance`): no I/O, time
comes in as an argument. Around it, `store` and `sequencer` make each change of an account's book land in Postgres as
one compare-and-swap, `matcher` feeds it ticks, and `adapter` is the broker that callers see.
"""
