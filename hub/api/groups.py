"""`/groups`, `/groups/G`, `/groups/G/users`, as in JupyterHub."""

from kworkspace.cli.client.models import GroupUsers
from kworkspace.hub.api.base import BaseHandler
from kworkspace.hub.api.paging import reply_page
from kworkspace.hub.api.views import group_view
from kworkspace.hub.groups import parse_group_name
from kworkspace.hub.scopes import Scope


class GroupsHandler(BaseHandler):
    """All groups."""

    scopes = {"GET": Scope.LIST_GROUPS}

    def get(self) -> None:
        """Return a page of Group."""
        reply_page(self, self.domain.readmodel.groups(), group_view)


class _OfGroup(BaseHandler):
    @property
    def group_name(self) -> str:
        """The path's group name, checked."""
        return parse_group_name(self.path_kwargs["group_name"])


class GroupHandler(_OfGroup):
    """One group."""

    scopes = {
        "GET": Scope.READ_GROUPS,
        "POST": Scope.ADMIN_GROUPS,
        "DELETE": Scope.ADMIN_GROUPS,
    }

    def get(self, group_name: str) -> None:
        """Return Group."""
        self.reply(group_view(self.domain.groups.get(self.group_name)))

    async def post(self, group_name: str) -> None:
        """Make it, with the users of the body, if there is one: 201."""
        users = self.body(GroupUsers).users if self.request.body else []
        self.reply(group_view(await self.domain.groups.create(self.group_name, users)), 201)

    async def delete(self, group_name: str) -> None:
        """Delete it: 204."""
        await self.domain.groups.delete(self.group_name)
        self.set_status(204)
        self.finish()


class GroupUsersHandler(_OfGroup):
    """Who is in a group."""

    scopes = {"POST": Scope.GROUPS, "DELETE": Scope.GROUPS}

    async def post(self, group_name: str) -> None:
        """Put users into it; return Group."""
        users = self.body(GroupUsers).users
        self.reply(group_view(await self.domain.groups.add_users(self.group_name, users)))

    async def delete(self, group_name: str) -> None:
        """Take users out of it; return Group."""
        users = self.body(GroupUsers).users
        self.reply(group_view(await self.domain.groups.remove_users(self.group_name, users)))
