"""Tables, queries and transactions; the only place that knows of SQLAlchemy engines.

A query is a function: session first, typed rows back, never commits. The domain opens the
transaction with `Store.begin`.
"""
