"""Bearer tokens: made, looked up, listed and revoked. The secret is known to whom it was given, and to nobody here."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import string
import zlib
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from typing import Literal

from workdocket.domain.errors import WorkError
from workdocket.domain.model import ROLES, SCHEDULER, SYSTEM, Actor, known_roles
from workdocket.ports import ReadTx, Token, WriteTx
from workdocket.service.desk import Desk
from workdocket.service.view import View, present, when

log = logging.getLogger("workdocket.tokens")

MARK = "wdk"
DIGITS = string.digits + string.ascii_letters
ID_LENGTH = 10
SECRET_LENGTH = 43
"""Of 62 possible characters each: the least length that holds 256 bits."""
SUM_LENGTH = 6
FORM = re.compile(rf"({MARK}_([0-9a-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{SUM_LENGTH}}})")
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._@-]{0,79}")
NOBODY = hashlib.sha256(secrets.token_bytes()).hexdigest()
"""What a secret under an unknown id is compared with."""


class Tokens:
    """Nothing is remembered between two calls: a token that another process revoked is worth nothing at once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def holder(self, secret: str) -> Token | None:
        """The token of a secret; ``None`` where it is unknown, revoked or expired."""
        token_id = id_of(secret)
        if token_id is None:
            return None
        token = await self._desk.store.read(lambda tx: tx.token(token_id))
        same = hmac.compare_digest(hashed(secret), token.hash if token else NOBODY)
        live = token is not None and token.state(self._desk.clock.now()) == "live"
        return token if same and live else None

    async def must_suffice(self) -> None:
        """Refuses a rule of the settings that asks for more approvers than there can be: all who have a token for it,
        and the person at the command line. Where an issuer names others, nobody knows how many there are."""
        if self._desk.settings.oauth_issuer is not None:
            return
        now = self._desk.clock.now()
        live = [token for token in await self._desk.store.read(lambda tx: tx.tokens()) if token.state(now) == "live"]
        able = [token for token in live if token.roles & {"reviewer", "admin"}]
        for name, gate in self._desk.gates.largest():
            human = gate.approval == "human"
            known = {token.name for token in able if token.kind == "user" or not human}
            if gate.quorum > len(known) + 1:
                kind = "persons" if human else "principals"
                raise WorkError(
                    "invalid_request",
                    f"the gate {name!r} asks for {gate.quorum} {kind} with the role reviewer;"
                    f" {len(known)} have a token for it",
                    hint="Make one with: workdocket token create NAME --role reviewer"
                    f"{' --kind user' if human else ''}. Or lower the quorum.",
                    role="reviewer",
                )

    async def demanded(self) -> bool:
        """Whether nobody gets in without a token: an issuer is named, or one was ever made here, revoked or not."""
        return self._desk.settings.oauth_issuer is not None or await self._desk.store.read(lambda tx: tx.any_token())

    async def make(
        self,
        name: str,
        roles: Iterable[str],
        by: Actor,
        *,
        kind: Literal["agent", "user"] = "agent",
        expires_at: int | None = None,
    ) -> tuple[Token, str]:
        """A new token and its secret, which cannot be shown again. ``expires_at`` is in milliseconds."""
        now = self._desk.clock.now()
        if expires_at is not None and expires_at <= now:
            raise WorkError("invalid_request", "a token cannot expire in the past", hint="Give a later time.")
        token_id, secret = fresh()
        token = Token(token_id, _name(name), kind, _roles(roles), hashed(secret), now, by.id, expires_at)
        await self._desk.change(lambda tx: tx.add_token(token))
        log.info("%s made token %s for %s", by.id, token.id, token.name)
        return token, secret

    async def all(self) -> tuple[Token, ...]:
        return await self._desk.store.read(lambda tx: tx.tokens())

    async def revoke(self, which: str, by: Actor, *, dry_run: bool = False) -> tuple[Token, ...]:
        """The tokens of an id or a name that were revoked now, or would be."""
        if dry_run:
            return await self._desk.store.read(lambda tx: _to_revoke(tx, which))
        return await self._desk.change(lambda tx: self._revoke(tx, which, by))

    def _revoke(self, tx: WriteTx, which: str, by: Actor) -> tuple[Token, ...]:
        now = self._desk.clock.now()
        found = _to_revoke(tx, which)
        for token in found:
            tx.revoke_token(token.id, now, by.id)
            log.info("%s revoked token %s of %s", by.id, token.id, token.name)
        return tuple(replace(token, revoked_at=now, revoked_by=by.id) for token in found)

    def view(self, token: Token) -> View:
        """A token as it is shown: never its secret, nor the hash of it."""
        return present(
            id=token.id,
            name=token.name,
            kind=token.kind,
            roles=[role for role in ROLES if role in token.roles],
            state=token.state(self._desk.clock.now()),
            created_at=when(token.created_at),
            created_by=token.created_by,
            expires_at=when(token.expires_at),
            revoked_at=when(token.revoked_at),
            revoked_by=token.revoked_by,
        )


def fresh() -> tuple[str, str]:
    """An id, and a secret that names it: mark, id, 256 bits of chance and a sum that tells a slip of the hand."""
    token_id = "".join(secrets.choice(DIGITS[:36]) for _ in range(ID_LENGTH))
    body = f"{MARK}_{token_id}_{''.join(secrets.choice(DIGITS) for _ in range(SECRET_LENGTH))}"
    return token_id, body + summed(body)


def id_of(secret: str) -> str | None:
    """The id that a secret names; ``None`` where it is none of ours or was mistyped."""
    form = FORM.fullmatch(secret)
    return form[2] if form is not None and summed(form[1]) == form[3] else None


def summed(body: str) -> str:
    number = zlib.crc32(body.encode())
    return "".join(DIGITS[number // 62**place % 62] for place in reversed(range(SUM_LENGTH)))


def hashed(secret: str) -> str:
    """Chance of 256 bits needs no slow hash: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _name(name: str) -> str:
    if NAME.fullmatch(name) is None:
        raise WorkError(
            "invalid_request",
            f"{name[:80]!r} cannot be the name of a token's holder",
            hint="Use 1 to 80 letters, digits and . _ @ -, a letter or digit first.",
        )
    if name in (SYSTEM.id, SCHEDULER.id):
        raise WorkError("invalid_request", f"{name} is what the system calls itself", hint="Choose another name.")
    return name


def _roles(roles: Iterable[str]) -> frozenset[str]:
    known = known_roles(roles)
    if not known:
        raise WorkError("invalid_request", f"a token needs a role; roles are {', '.join(ROLES)}")
    return known


def _to_revoke(tx: ReadTx, which: str) -> tuple[Token, ...]:
    found = [token for token in tx.tokens() if which in (token.id, token.name)]
    if not found:
        nearest = get_close_matches(which, [token.name for token in tx.tokens()], 1)
        hint = "Call workdocket token list to see which there are."
        raise WorkError("not_found", f"there is no token {which[:80]!r}", hint=hint, nearest=nearest)
    return tuple(token for token in found if token.revoked_at is None)
