"""`/users/N/invites`, and `/gateway/invites`, where their codes are given."""

from kworkspace.cli.client.models import InviteClaim, InviteRequest
from kworkspace.cli.client.names import INVITE
from kworkspace.hub.api.base import BaseHandler
from kworkspace.hub.scopes import Scope


class InvitesHandler(BaseHandler):
    """A user's invitations that are open."""

    scopes = {"GET": Scope.ADMIN_USERS, "POST": Scope.ADMIN_USERS}

    async def get(self, user_name: str) -> None:
        """Return list[Invite]."""
        self.reply(await self.domain.invites.of(self.user_name))

    async def post(self, user_name: str) -> None:
        """Make one; the only time that its code is shown: 201."""
        request = self.body(InviteRequest)
        new = await self.domain.invites.new(self.user_name, request.expires_in, str(self.caller))
        self.reply(new, 201)


class InviteHandler(BaseHandler):
    """One of them."""

    scopes = {"DELETE": Scope.ADMIN_USERS}

    async def delete(self, user_name: str, invite_id: str) -> None:
        """Withdraw it."""
        await self.domain.invites.revoke(self.user_name, invite_id)
        self.set_status(204)
        self.finish()


class InviteClaimsHandler(BaseHandler):
    """Somebody at a gateway who has a code."""

    scopes = {"POST": Scope.GATEWAY}

    async def post(self) -> None:
        """Return InviteOffer: 200 for a look, 201 when the key was added."""
        claim = self.body(InviteClaim)
        self.about(INVITE, claim.address)
        offer = await self.domain.invites.claim(claim)
        self.reply(offer, 201 if claim.confirm else 200)
