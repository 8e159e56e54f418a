"""Templates: the environment that renders them, and the filters that pages share. Everything is escaped; a missing value is an error."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchlite.core.durations import seconds_text
from orchlite.core.sizes import size_text
from orchlite.core.text import counted, number_text, short_id
from orchlite.core.version import VERSION
from orchlite.web.session import TOKEN_FIELD, Session
from orchlite.web.visible import visible_lines

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"


def rendered(template: str, **values: object) -> str:
    """Return a template of `templates/` as HTML, with these values."""
    return _environment().get_template(template).render(values)


def moment(at: datetime | None, *, seconds: bool = False) -> Markup:
    """Return a time as an element, in UTC; `page.js` shows it in the zone that is chosen. None is empty."""
    if at is None:
        return Markup()
    there = at.astimezone(UTC)
    text = f"{there:%Y-%m-%d %H:%M:%S}" if seconds else f"{there:%Y-%m-%d %H:%M}"
    precision = Markup(' data-precision="second"') if seconds else ""
    return Markup('<time datetime="{}"{}>{} UTC</time>').format(f"{there:%Y-%m-%dT%H:%M:%SZ}", precision, text)


def clock(at: datetime) -> Markup:
    """Return the time of day as an element, in UTC, and at midnight the day; `page.js` shows it in the zone that is chosen."""
    there = at.astimezone(UTC)
    text = f"{there:%m-%d}" if there.hour == there.minute == 0 else f"{there:%H:%M}"
    return Markup('<time datetime="{}" data-precision="clock">{}</time>').format(f"{there:%Y-%m-%dT%H:%M:%SZ}", text)


def time_text(at: datetime) -> str:
    """Return a time as text, in UTC, for the marks of charts, where no element can be; `page.js` shows it in the zone that is chosen."""
    return f"{at.astimezone(UTC).isoformat(' ', 'minutes')[:-6]} UTC"


def countdown(at: datetime | None, now: datetime) -> Markup:
    """Return how far away a time is as an element, which `page.js` keeps up to date: `in 3 h 20 min`, `5 min ago`. None is empty."""
    if at is None:
        return Markup()
    there = at.astimezone(UTC)
    text = distance_text((at - now).total_seconds())
    return Markup('<time datetime="{}" data-countdown>{}</time>').format(f"{there:%Y-%m-%dT%H:%M:%SZ}", text)


def distance_text(seconds: float) -> str:
    """Return the distance of a time from now, in its two largest units: `in 2 d 3 h`, `45 s ago`. `page.js` has the same rule."""
    rest, parts = abs(round(seconds)), list[str]()
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    text = " ".join(parts[:2])
    return f"in {text}" if seconds > 0 else f"{text} ago"


def form_token(session: Session) -> Markup:
    """Return the field that every form with `method="post"` must have."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(TOKEN_FIELD, session.form_token)


@cache
def static_url(name: str) -> str:
    """Return the address of a file of `static/`. It changes with the content, so that browsers may keep the file."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def _shown(value: object) -> object:
    """Return a value as every page shows it: hidden characters of a text, and what turns its direction, by their escapes."""
    return visible_lines(value) if type(value) is str else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        finalize=_shown,
    )
    environment.filters.update(
        moment=moment,
        clock=clock,
        countdown=countdown,
        duration=seconds_text,
        size=size_text,
        number=number_text,
        short=short_id,
        counted=counted,
    )
    environment.globals.update(static=static_url, form_token=form_token, version=VERSION, url=str)
    return environment
