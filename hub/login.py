"""Signing in with an SSH key: a nonce, a signature over it, a token.

The nonce is stateless: random, with its time, under the hub's HMAC; only used ones are stored, so
that nobody fills the database. It is good for a minute, once, for the URLs that this hub answers
to, on whichever replica. Every refusal is the same 403, after the same work, at the same time.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from sqlalchemy.exc import IntegrityError
from tornado.web import create_signed_value, decode_signed_value

from kworkspace.authenticators.base import Authenticator, ProvenKey
from kworkspace.cli.client.challenge import NONCE_SECONDS, challenge_text, normal_url
from kworkspace.cli.client.errors import Forbidden
from kworkspace.cli.client.models import Challenge, NewToken, TokenRequest
from kworkspace.cli.client.names import parse_user_name
from kworkspace.hub.clock import Clock
from kworkspace.hub.db.models import UsedChallenge
from kworkspace.hub.db.store import Store
from kworkspace.hub.readmodel import digest
from kworkspace.hub.tokens import Tokens

REFUSAL_SECONDS = 0.1
MAX_SIGNATURE_BYTES = 16 * 1024

REFUSED = (
    "Sign-in refused: the signature must be by a key of this user on this hub, over a fresh"
    " challenge, and for the URL that the hub is known by"
)


class SignIn:
    """Gives tokens for signatures.

    Args:
        store: the database.
        authenticator: whose keys are whose.
        tokens: issues the token.
        clock: now.
        secret: the hub's HMAC secret.
        public_urls: the URLs that this hub answers to.
        token_seconds: how long a token is good.
        welcome: makes the row of a user who has none yet.
    """

    def __init__(
        self,
        *,
        store: Store,
        authenticator: Authenticator,
        tokens: Tokens,
        clock: Clock,
        secret: str,
        public_urls: Sequence[str],
        token_seconds: int,
        welcome: Callable[[str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._tokens = tokens
        self._clock = clock
        self._secret = secret
        self._urls = frozenset(normal_url(url) for url in public_urls)
        self._token_seconds = token_seconds
        self._welcome = welcome

    def challenge(self) -> Challenge:
        """Return a nonce to sign."""
        nonce = create_signed_value(
            self._secret, "challenge", secrets.token_urlsafe(16), clock=self._seconds
        )
        return Challenge(nonce=nonce.decode(), expires_in=NONCE_SECONDS)

    async def token(self, request: TokenRequest, address: str) -> NewToken:
        """Return a token for a signed challenge.

        Args:
            request: the challenge's fields and the signature.
            address: the IP address that it came from.

        Raises:
            BadRequest: a field cannot be what it is said to be.
            Forbidden: the proof does not prove it; the same for every reason.
        """
        refuse_at = asyncio.get_running_loop().time() + REFUSAL_SECONDS
        user = parse_user_name(request.user, "user")
        text = challenge_text(url=request.url, user=user, nonce=request.nonce)
        key = self._authenticator.verify_signature(
            user, text, request.signature[:MAX_SIGNATURE_BYTES], address=address
        )
        known_url = normal_url(request.url) in self._urls
        fresh = self._is_fresh(request.nonce)
        token = await self._accept(request, user, key) if key and known_url and fresh else None
        if token is None:
            # Whatever the reason was: the same answer, at the same distance from the question.
            await asyncio.sleep(refuse_at - asyncio.get_running_loop().time())
            raise Forbidden(REFUSED)
        return token

    async def _accept(self, request: TokenRequest, user: str, key: ProvenKey) -> NewToken | None:
        await self._welcome(user)
        expires = self._clock() + timedelta(seconds=2 * NONCE_SECONDS)
        try:
            async with self._store.begin() as session:
                session.add(UsedChallenge(digest=digest(request.nonce), expires=expires))
                await session.flush()
                return await self._tokens.issue(
                    session,
                    user,
                    note=request.note[:255] or "signed in with an SSH key",
                    expires_in=self._token_seconds,
                    key_fingerprint=key.fingerprint,
                    not_after=key.expires,
                )
        except IntegrityError:
            return None  # replayed

    def _is_fresh(self, nonce: str) -> bool:
        value = decode_signed_value(
            self._secret,
            "challenge",
            nonce,
            max_age_days=NONCE_SECONDS / 86400,
            clock=self._seconds,
            min_version=2,
        )
        return value is not None

    def _seconds(self) -> float:
        return self._clock().timestamp()
