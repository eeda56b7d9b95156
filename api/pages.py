"""The page a person sees after a login: one file, no script, nothing from elsewhere, nothing of the request in it."""

import base64
import hashlib
from html import escape

from starlette.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; --accent: #0a7d55; --bad: #b3261e; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 34rem; padding: 0 1.5rem; }
h1 { font-size: 1.4rem; margin-bottom: .5rem; color: var(--accent); } .bad h1 { color: var(--bad); }
p { margin: .5rem 0; } small { opacity: .7; }
"""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address has the request token in it
    "X-Content-Type-Options": "nosniff",
}


def outcome_page(status: int, title: str, *paragraphs: str, note: str = "") -> HTMLResponse:
    """Plain text in; `note` is shown small (a code and a correlation id)."""
    body = "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
    shade = "" if status < 400 else ' class="bad"'
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body{shade}><h1>{escape(title)}</h1>{body}<small>{escape(note)}</small></body></html>",
        status_code=status,
        headers=_HEADERS,
    )
