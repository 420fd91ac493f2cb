"""Alembic's migrations; `versions` has one module for each revision."""
