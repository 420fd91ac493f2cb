"""`/users/N/keys`: the public keys of a user."""

from kworkspace.cli.client.models import NewKey
from kworkspace.hub.api.base import BaseHandler
from kworkspace.hub.scopes import Scope


class KeysHandler(BaseHandler):
    """All of them."""

    scopes = {"GET": Scope.KEYS, "POST": Scope.KEYS}

    def get(self, user_name: str) -> None:
        """Return a list of Key, of whatever source."""
        self.reply(self.domain.keys.of(self.user_name))

    async def post(self, user_name: str) -> None:
        """Add one to those that the database keeps: 201."""
        self.reply(await self.domain.keys.add(self.user_name, self.body(NewKey).key), 201)


class KeyHandler(BaseHandler):
    """One that the database keeps."""

    scopes = {"DELETE": Scope.KEYS}

    async def delete(self, user_name: str, key_id: str) -> None:
        """Remove it; its tokens and sessions end."""
        await self.domain.keys.remove(self.user_name, key_id)
        self.set_status(204)
        self.finish()
