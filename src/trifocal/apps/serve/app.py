"""The server: a page and a REST API over one model, within limits.

Every request is checked before anything is computed: that it comes from a page of this server (or
from no page), that its body is no longer than it may be, that its parts make sense. What cannot be
answered is a JSON object with `error`, one sentence.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from urllib.parse import SplitResult, urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trifocal.apps.serve import answers
from trifocal.apps.serve.forms import Form
from trifocal.apps.serve.gate import Gate
from trifocal.apps.serve.limits import Limits, Refused
from trifocal.apps.serve.served import Served
from trifocal.errors import UserError
from trifocal.report.page import data_uri

logger = logging.getLogger(__name__)

_PAGE = {"": "index.html", "page.js": "page.js", "page.css": "page.css"}
_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
_FIELDS = 64  # of a form
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def make_app(served: Served, limits: Limits, hosts: tuple[str, ...] = ()) -> Starlette:
    """Return the server as an ASGI application.

    Args:
        served: What requests are answered from.
        limits: Of requests.
        hosts: Names that it may be called by, beside this machine's own; "*" for any.
    """
    gate = Gate(limits)

    def asked(respond: answers.Respond) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            form, _ = await _read(request, limits)
            return JSONResponse(await gate.do(partial(respond, served, limits, form)))

        return endpoint

    async def fit(request: Request) -> Response:
        _, files = await _read(request, limits)
        return JSONResponse(await gate.do(partial(answers.fitted, served, limits, files)))

    async def facts(request: Request) -> Response:
        return JSONResponse(answers.facts(served, limits))

    async def example(request: Request) -> Response:
        number = request.path_params["number"]
        if not 0 <= number < len(served.examples):
            raise Refused(404, f"there are the examples 0 to {len(served.examples) - 1}.")
        shown = await gate.do(partial(data_uri, served.examples[number].picture, 1024))
        return JSONResponse({"picture": shown})

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        gate.close()
        served.close()

    routes = [
        *(Route(f"/{path}", partial(_page, name)) for path, name in _PAGE.items()),
        Route("/api", facts),
        Route("/api/examples/{number:int}", example),
        Route("/api/explain", asked(answers.explained), methods=["POST"]),
        Route("/api/compose", asked(answers.composed), methods=["POST"]),
        Route("/api/search", asked(answers.searched), methods=["POST"]),
        Route("/api/classifiers", fit, methods=["POST"]),
        Route("/api/predict", asked(answers.predicted), methods=["POST"]),
    ]
    told = {
        Refused: _refused,
        UserError: partial(_user_error, hidden=str(served.folder)),
        HTTPException: _http_error,
        Exception: _error,
    }
    guard = Middleware(_Guard, limits=limits, hosts=hosts)
    app = Starlette(routes=routes, exception_handlers=told, middleware=[guard], lifespan=lifespan)
    app.router.redirect_slashes = False  # what is not there is said, with a sentence
    return app


async def _page(name: str, request: Request) -> Response:
    text = resources.files("trifocal.apps.serve").joinpath("page", name).read_text("utf-8")
    return Response(text, media_type=_KINDS[name.rpartition(".")[2]])


async def _read(request: Request, limits: Limits) -> tuple[Form, list[tuple[str, bytes]]]:
    """Return a form's fields by name, and its files in order, with their names."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise Refused(422, "send a form (multipart/form-data); docs/serve.md shows each request.")
    try:
        async with asyncio.timeout(limits.seconds):
            parts = await request.form(
                max_files=limits.pictures + 1, max_fields=_FIELDS, max_part_size=1 << 20
            )
    except TimeoutError:
        raise Refused(503, "the request did not arrive in time; send it again.") from None
    except HTTPException as error:
        many = "Too many" in str(error.detail) or "exceeded" in str(error.detail)
        raise Refused(413 if many else 422, f"the form cannot be read ({error.detail}).") from None
    except ClientDisconnect:
        raise Refused(422, "the request broke off.") from None
    except (ValueError, KeyError, UnicodeError):
        raise Refused(422, "the form cannot be read; send multipart/form-data.") from None
    form: Form = {}
    files = []
    for name, value in parts.multi_items():
        if isinstance(value, UploadFile):
            content = await value.read()
            files.append((value.filename or "", content))
            form[name] = content
        else:
            form[name] = value
    await parts.close()
    return form, files


class _Guard:
    """Turns away what comes from other pages, and bodies that are too long, as they come."""

    def __init__(self, app: ASGIApp, limits: Limits, hosts: tuple[str, ...]) -> None:
        self._app, self._limits = app, limits
        self._hosts = {"localhost", "127.0.0.1", "::1", *hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        most = self._limits.body_bytes(scope["path"])
        refused = self._refusal(headers, most)
        if refused is not None:
            await _refused(None, refused)(scope, receive, _with_headers(send))
            return
        come = 0

        async def counted() -> Message:
            nonlocal come
            message = await receive()
            come += len(message.get("body", b""))
            if come > most:
                raise Refused(413, _too_long(most))
            return message

        await self._app(scope, counted, _with_headers(send))

    def _refusal(self, headers: Headers, most: int) -> Refused | None:
        host = headers.get("host", "")
        name = _split(f"//{host}").hostname or ""
        if "*" not in self._hosts and name not in self._hosts:
            return Refused(403, f"this server is not called {name!r}; say so with --host.")
        origin = headers.get("origin")
        if origin is not None and _split(origin).netloc != host:
            return Refused(403, "another page may not ask this server; open its own.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            return Refused(413, _too_long(most))
        return None


def _split(address: str) -> SplitResult:
    """Return the parts of an address; of what is none, empty ones."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _too_long(most: int) -> str:
    return f"the request has more than {most >> 20} MB; send a smaller picture."


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(key.lower().encode(), value.encode()) for key, value in _HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


def _refused(request: Request | None, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    headers = {"Retry-After": "5"} if error.status in (429, 503) else None
    return JSONResponse({"error": str(error)}, error.status, headers)


def _user_error(request: Request, error: Exception, *, hidden: str) -> JSONResponse:
    said = re.sub(rf"{re.escape(hidden)}(/\w+)?", "the upload", str(error))
    return JSONResponse({"error": said}, 422)


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    said = {
        404: "there is nothing here; docs/serve.md lists what there is.",
        405: "this is asked by POST alone, or by GET alone.",
    }
    return JSONResponse({"error": said.get(error.status_code, error.detail)}, error.status_code)


def _error(request: Request, error: Exception) -> JSONResponse:
    logger.error("a request failed", exc_info=error)
    return JSONResponse({"error": "something went wrong here; the server's log says what."}, 500)
