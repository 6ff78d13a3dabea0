"""The routes of the inbox: who is asking, may they, and which page answers."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from workdocket.app import App
from workdocket.domain.errors import WorkError
from workdocket.service.dossier import item_file
from workdocket.service.glance import Glances
from workdocket.surfaces import problems
from workdocket.surfaces.bearer import Verify
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.inbox import boards
from workdocket.surfaces.inbox.decide import Desk, offered
from workdocket.surfaces.inbox.forms import FORM, Form, must_be_of, sent
from workdocket.surfaces.inbox.live import Stream, Streams
from workdocket.surfaces.inbox.pages import SAFE, elsewhere, own_path, page, served
from workdocket.surfaces.inbox.queue import chosen, queue
from workdocket.surfaces.inbox.screen import last_event, may, screen
from workdocket.surfaces.inbox.sessions import LONGEST_MS, Session, Sessions
from workdocket.surfaces.inbox.words import plainly

Answer = Awaitable[Response]
Handler = Callable[[Request, Session], Answer]
Acted = Callable[[Request, Session, Form], Answer]


class Inbox:
    """All pages. ``local`` is who is signed in where no token is asked for."""

    def __init__(self, app: App, verify: Verify, local: Caller) -> None:
        self._app = app
        self._glances = Glances(app.desk, app.reviews)
        self._streams = Streams(app.desk, self._glances)
        self._sessions = Sessions(app.desk.clock, verify, local, app.tokens.demanded)
        self._secure = (app.settings.public_url or "").startswith("https://")
        self.routes = [
            Route("/", self._read(self._queue)),
            Route("/next", self._read(self._next)),
            Route("/batch", self._write(self._batch), methods=["POST"]),
            Route("/orders", self._read(self._orders)),
            Route("/orders/{order_id}", self._read(self._order)),
            Route("/orders/{order_id}/standing", self._read(self._standing, active=False)),
            Route("/orders/{order_id}/{action}", self._write(self._act), methods=["POST"]),
            Route("/items/{item_id}", self._read(self._item)),
            Route("/leases", self._read(self._leases)),
            Route("/flow", self._read(self._flow)),
            Route("/events", self._read(self._events)),
            Route("/live", _Plain(self._live)),
            Route("/signin", self._shown(self._sign_in_page)),
            Route("/signin", self._shown(self._sign_in), methods=["POST"]),
            Route("/signout", self._write(self._sign_out), methods=["POST"]),
            Route("/static/{name}", _static),
        ]

    # the queue

    async def _queue(self, request: Request, session: Session) -> Response:
        if not may(session.caller, "review"):
            return elsewhere("/orders")
        found = await queue(self._app, self._glances, session.caller, chosen(request.query_params))
        return self._page("queue", request, session, queue=found, may_approve=may(session.caller, "approve"))

    async def _next(self, request: Request, session: Session) -> Response:
        """To the order after one in the queue, or to the queue where that was the last."""
        found = await queue(self._app, self._glances, session.caller, {})
        ids = [row.order.id for group in found.groups for row in group.rows]
        after = request.query_params.get("after", "")
        rest = ids[ids.index(after) + 1 :] if after in ids else [order_id for order_id in ids if order_id != after]
        return elsewhere(f"/orders/{rest[0]}" if rest else "/")

    async def _batch(self, request: Request, session: Session, form: Form) -> Response:
        members = await self._desk(session).batch(form)
        return self._page("batch", request, session, members=members)

    # one order

    async def _order(self, request: Request, session: Session) -> Response:
        return await self._screen(request, session)

    async def _screen(
        self, request: Request, session: Session, *, error: WorkError | None = None, typed: Form | None = None
    ) -> Response:
        query = request.query_params
        found = await screen(
            self._app,
            session.caller,
            request.path_params["order_id"],
            items_from=_number(query.get("items")),
            changes_from=_number(query.get("changes")),
        )
        notice, session.notice = session.notice, None
        return self._page(
            "order",
            request,
            session,
            status=error.kind.http if error else 200,
            **found,
            problem=plainly(error) if error else None,
            notice=notice,
            typed=typed or Form([]),
        )

    async def _standing(self, request: Request, session: Session) -> Response:
        """Whether an order is still as it was shown to somebody who has it open."""
        order_id = request.path_params["order_id"]
        shown, version = _number(request.query_params.get("version")), await last_event(self._app, order_id)
        order = await self._app.desk.store.read(lambda tx: tx.order(order_id))
        events = await self._app.desk.store.read(lambda tx: tx.recent_events(order_id, 3)) if version > shown else ()
        return self._page("standing", request, session, order=order, moved=version > shown, version=shown, news=events)

    async def _act(self, request: Request, session: Session, form: Form) -> Response:
        order_id, action = request.path_params["order_id"], request.path_params["action"]
        desk = self._desk(session)
        acts: dict[str, Callable[[], Awaitable[str]]] = {
            "decide": partial(desk.decided, order_id, form),
            "retry": partial(desk.retried, order_id, form),
            "waive": partial(desk.waived, form),
            "undo": partial(desk.undone, order_id, form),
        }
        if action not in acts:
            raise WorkError("not_found", "There is no such page.", hint="")
        try:
            must_be_of(session, form)
            session.notice = await acts[action]()
        except WorkError as error:
            if error.code == "not_found":
                raise
            return await self._screen(request, session, error=error, typed=form)
        return elsewhere(f"/orders/{quote(order_id)}")

    async def _item(self, request: Request, session: Session) -> Response:
        found = await item_file(self._app.desk, request.path_params["item_id"])
        return self._page("item", request, session, item=found)

    # boards

    async def _orders(self, request: Request, session: Session) -> Response:
        found = await boards.orders(self._app, session.caller, request.query_params)
        return self._page("orders", request, session, **found)

    async def _leases(self, request: Request, session: Session) -> Response:
        return self._page("leases", request, session, **await boards.leases(self._app))

    async def _flow(self, request: Request, session: Session) -> Response:
        return self._page("flow", request, session, **await boards.throughput(self._app))

    async def _events(self, request: Request, session: Session) -> Response:
        return self._page("events", request, session, **await boards.trail(self._app, request.query_params))

    # signing in and out

    async def _sign_in_page(self, request: Request) -> Response:
        if not await self._app.tokens.demanded():
            return elsewhere("/")
        return page(
            "signin",
            to=own_path(request.query_params.get("to", "/")),
            over="over" in request.query_params,
            problem=None,
        )

    async def _sign_in(self, request: Request) -> Response:
        form = await sent(request)
        to = own_path(form.get("to"))
        try:
            cookie = await self._sessions.with_token(form.get("token"))
        except WorkError as error:
            problem = f"{error.message} {error.hint}"
            return page("signin", error.kind.http, to=to, over=False, problem=problem)
        return self._with_cookie(elsewhere(to), request, cookie)

    async def _sign_out(self, request: Request, session: Session, form: Form) -> Response:
        self._sessions.end(request.cookies.get(_name(request), ""))
        response = elsewhere("/signin")
        response.delete_cookie(_name(request), secure=self._secure, httponly=True, samesite="strict")
        return response

    async def _live(self, request: Request) -> Response | Stream:
        async def present() -> bool:
            return await self._session(request, active=False) is not None

        session = await self._session(request, active=False)
        if session is None:
            return _said("You are not signed in.", 401)
        if request.method != "GET":
            return Response(status_code=204, headers=SAFE)
        try:
            since = _number(request.query_params.get("at")), _number(request.query_params.get("turn"))
            return self._streams.stream(session.caller.actor.id, present, since)
        except WorkError as error:
            return _said(error.message, error.kind.http)

    # around each of them

    def _read(self, handler: Handler, *, active: bool = True) -> Callable[[Request], Answer]:
        async def answer(request: Request) -> Response:
            await self._mark(request)
            session = await self._session(request, active=active)
            if session is not None:
                _must_read(session)
                return await handler(request, session)
            if _came_from_elsewhere(request):
                return page("bounce", to=_target(request))
            cookie = await self._sessions.without() if _is_browser(request) else None
            if cookie is None:
                return _sign_in_first(request)
            session = await self._sessions.find(cookie)
            assert session is not None
            return self._with_cookie(await handler(request, session), request, cookie)

        return self._shown(answer)

    def _write(self, handler: Acted) -> Callable[[Request], Answer]:
        async def answer(request: Request) -> Response:
            await self._mark(request)
            session = await self._session(request)
            if session is None:
                return elsewhere(f"/signin?over&to={quote(_origin_of(request))}")
            form = await sent(request)
            if handler != self._act:
                must_be_of(session, form)
            return await handler(request, session, form)

        return self._shown(answer)

    def _shown(self, answer: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
        """Every refusal is a page too."""

        async def shown(request: Request) -> Response:
            try:
                return await answer(request)
            except ClientDisconnect:
                return Response(status_code=400)
            except TimeoutError:
                return page("refused", 408, message="The form did not arrive in time.", hint="Send it again.")
            except WorkError as error:
                return page("refused", error.kind.http, message=plainly(error), hint=error.hint)
            except Exception as error:
                refusal = problems.unexpected(error, request.url.path)
                return page("refused", 500, message=refusal.message, hint=refusal.hint)

        return shown

    def _page(self, name: str, request: Request, session: Session, *, status: int = 200, **context: Any) -> Response:
        caller = session.caller
        base = {
            "me": caller.actor.id,
            "roles": sorted(caller.roles),
            "signs_out": session.secret is not None,
            "form_token": session.form,
            "form_field": FORM,
            "key": secrets.token_urlsafe(12),
            "path": request.url.path,
            "since": request.state.since,
            "may_review": may(caller, "review"),
            "offered": offered,
            "now": self._app.desk.clock.now(),
        }
        return page(name, status, **{**base, **context})

    async def _mark(self, request: Request) -> None:
        """Remember, before anything is read for a page, from where on its stream has to tell it what is new."""
        last = await self._app.desk.store.read(lambda tx: tx.last_event())
        request.state.since = f"at={last}&turn={self._glances.turn}"

    def _desk(self, session: Session) -> Desk:
        return Desk(self._app, self._glances, session.caller)

    async def _session(self, request: Request, *, active: bool = True) -> Session | None:
        cookie = request.cookies.get(_name(request))
        return await self._sessions.find(cookie, active=active) if cookie else None

    def _with_cookie(self, response: Response, request: Request, cookie: str) -> Response:
        response.set_cookie(
            _name(request), cookie, max_age=LONGEST_MS // 1000, secure=self._secure, httponly=True, samesite="strict"
        )
        return response


class _Plain:
    """An endpoint whose answer is an application of its own."""

    def __init__(self, handler: Callable[[Request], Awaitable[Response | Stream]]) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._handler(Request(scope, receive)))(scope, receive, send)


async def _static(request: Request) -> Response:
    return served(request)


def _must_read(session: Session) -> None:
    if not may(session.caller, "get_order"):
        raise WorkError("forbidden", "it has no role of workdocket", hint="Ask whoever made your token.")


def _said(message: str, status: int) -> Response:
    return Response(f"{message}\n", status, SAFE, "text/plain; charset=utf-8")


def _name(request: Request) -> str:
    """The cookie's name: browsers keep the cookies of all ports of a host together."""
    server = request.scope.get("server") or ("", 0)
    return f"workdocket_{server[1] or 0}"


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _came_from_elsewhere(request: Request) -> bool:
    """Whether a link of another site led here: then the browser kept the cookie back, and sends it at the next step."""
    return request.headers.get("sec-fetch-site") == "cross-site" and request.headers.get("sec-fetch-mode") == "navigate"


def _sign_in_first(request: Request) -> Response:
    if not _is_browser(request) or "hx-request" in request.headers:
        return _said("You are not signed in.", 401)
    over = "over&" if _name(request) in request.cookies else ""
    return elsewhere(f"/signin?{over}to={quote(_target(request))}")


def _target(request: Request) -> str:
    query = request.url.query
    return own_path(f"{request.url.path}?{query}" if query else request.url.path)


def _origin_of(request: Request) -> str:
    """The page that a form was on."""
    order_id = request.path_params.get("order_id")
    return f"/orders/{order_id}" if order_id else "/"


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 12 else 0
