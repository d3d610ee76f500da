"""The customers' pages as HTML: no script, no outside resource, everything that varies escaped."""

from __future__ import annotations

import hmac
from html import escape
from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse

from db.reads.subscription import SubscriptionDetail
from domain.subscription import Status
from web.words import WORDS, Language, Notice, language_of

STYLE_PATH: Final = "/assets/teiki.css"

_PAGE: Final = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<title>{title}</title>
<link rel="stylesheet" href="{style}">
</head>
<body><main>
<h1>{title}</h1>
{body}
</main></body>
</html>
"""


def language(request: Request) -> Language:
    return language_of(request.headers.get("Accept-Language", ""))


def card_change(request: Request, detail: SubscriptionDetail) -> HTMLResponse:
    """What will happen, and the button. The form posts to the address it is shown under."""
    words = WORDS[language(request)]
    method = detail.payment_method
    card = f"{method.brand.title()} {words.ending_in} {method.last_four}" if method.last_four else method.kind
    is_open = detail.status in (Status.UNPAID, Status.UNCONFIRMED)
    parts = [
        f"<p>{escape(words.explained)}</p>",
        f"<dl><dt>{escape(words.product)}</dt><dd>{escape(detail.product.name)}</dd>",
        f"<dt>{escape(words.current_card)}</dt><dd>{escape(card)}</dd></dl>",
        f"<p>{escape(words.payment_open)}</p>" if is_open else "",
        f'<form method="post"><button>{escape(words.go)}</button></form>',
        f'<p class="note">{escape(words.never_seen)}</p>',
    ]
    return page(request, words.title, "\n".join(part for part in parts if part), status=200)


def notice(request: Request, name: str, *, status: int = 200) -> HTMLResponse:
    """A page that only says something; `name` is the field of `Words`."""
    said: Notice = getattr(WORDS[language(request)], name)
    return page(request, said.title, f"<p>{escape(said.text)}</p>", status=status)


def page(request: Request, title: str, body: str, *, status: int) -> HTMLResponse:
    """A page in the browser's language; what varies in `body` is escaped by the caller."""
    chosen = language(request)
    text = _PAGE.format(language=chosen, title=escape(title), style=STYLE_PATH, body=body)
    headers = {"Content-Language": chosen, "Vary": "Accept-Language"}
    return HTMLResponse(text, status_code=status, headers=headers)


def see_other(url: str) -> RedirectResponse:
    """Go there, by GET."""
    return RedirectResponse(url, status_code=303)


def is_same(given: str, expected: str) -> bool:
    """Whether a caller knows it; how long the answer takes does not tell how much of it was right."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())
