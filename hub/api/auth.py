"""`/auth/challenge` and `/auth/token`: signing in with an SSH key, and out."""

from kworkspace.cli.client.models import ChallengeRequest, TokenRequest
from kworkspace.hub.api.base import PUBLIC, SIGNED_IN, BaseHandler
from kworkspace.hub.tunnels import REVOKED


class ChallengeHandler(BaseHandler):
    """A nonce."""

    scopes = {"POST": PUBLIC}

    def post(self) -> None:
        """Return Challenge."""
        self.body(ChallengeRequest)
        self.reply(self.domain.sign_in.challenge(), 201)


class TokenHandler(BaseHandler):
    """A token for a signed challenge."""

    scopes = {"POST": PUBLIC, "DELETE": SIGNED_IN}

    async def post(self) -> None:
        """Return NewToken."""
        request = self.body(TokenRequest)
        self.about(request.user)
        self.reply(await self.domain.sign_in.token(request, self.request.remote_ip or ""), 201)

    async def delete(self) -> None:
        """Revoke the token that the request came with."""
        assert self.token is not None  # SIGNED_IN
        await self.domain.tokens.revoke(self.token)
        await self.domain.open_sessions.end_of_token(self.token.id, REVOKED)
        self.set_status(204)
        self.finish()
