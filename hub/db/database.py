"""What differs between the databases: how one is opened, begins, and what its errors mean."""

from abc import ABC, abstractmethod

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.hub.db.errors import Lost

Failure = DBAPIError | Lost


class Database(ABC):
    """An open database.

    Args:
        engine: its connections.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    @property
    def reading(self) -> AsyncEngine:
        """The engine whose transactions only read, all of one moment."""
        return self.engine

    @abstractmethod
    async def start(self, session: AsyncSession) -> None:
        """Begin a transaction.

        Raises:
            Unavailable: the database does not answer.
        """

    @abstractmethod
    def undone(self, error: Failure) -> KworkspaceError:
        """Return what a failure before the commit means: nothing was changed."""

    @abstractmethod
    def in_commit(self, error: Failure) -> KworkspaceError:
        """Return what a failure of the commit itself means."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self.engine.dispose()
