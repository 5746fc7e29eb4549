"""Plain sentences for what a store's file or server refuses, in place of the driver's own words."""

from __future__ import annotations

import re

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from puncta.core.errors import UserError

NO_RIGHT = "42501"
"""SQLSTATE of a right that is missing (PostgreSQL, appendix A)."""
_USUAL_PORT = 5432


class StoreUnreachable(UserError):
    """The server does not answer, or lets nobody in by this address."""


class StoreForbidden(UserError):
    """The server answers, but has not given this user the right to do this; once it has, the same works."""


def in_plain_words(url: URL, error: DBAPIError) -> UserError | None:
    """Return the plain sentence for what a store refuses; None where it is no matter of the user's."""
    if isinstance(error, IntegrityError):
        return None
    if url.get_backend_name() == "sqlite":
        if not isinstance(error, OperationalError):
            return None
        return UserError(f"The store {url.database} cannot be used: {why_of_file(str(error.orig))}.")
    if isinstance(error, OperationalError) or error.connection_invalidated:
        return unreachable(url, error)
    return right_missing(url, error)


def why_of_file(said: str) -> str:
    """Return what SQLite says of a file in our own words, as the end of a sentence; what is not known stays."""
    if "readonly" in said:
        return "its file or folder may not be written; change its permissions, or name another store"
    if "unable to open" in said:
        return "its file or folder may not be opened; change its permissions, or name another store"
    if "locked" in said:
        return "another program holds it; close that one, or try again"
    return "the disk is full; make room" if "full" in said else said


def unreachable(url: URL, error: DBAPIError) -> StoreUnreachable:
    """Return the plain sentence for a server that does not answer, or that lets nobody in by this address."""
    said = str(error.orig).strip()
    place, port = shown_address(url), url.port or _USUAL_PORT
    where = f"{url.host}:{port}" if url.host else f"port {port} of this computer"
    if "password" in said or "authentication" in said or "pg_hba" in said:
        who = f"'{url.username}'" if url.username else "this user"
        why = f"its server does not let {who} in; check the name and the password in the address"
        return StoreUnreachable(f"The store at {place} cannot be opened: {why}.")
    missing = re.search(r'(database|role) "[^"]*" does not exist', said)
    if missing:
        what = f"database '{url.database}'" if missing[1] == "database" else f"user '{url.username or ''}'"
        why = f"its server has no {what}; check the address, or ask whoever runs the server"
        return StoreUnreachable(f"The store at {place} cannot be opened: {why}.")
    if "resolve host" in said or "translate host name" in said:
        why = f"no computer called '{url.host}' is known here; check the name, or the network"
    elif "refused" in said or "No such file" in said:
        why = f"nothing listens at {where}; start the server there, or check the address"
    elif "timeout" in said or "timed out" in said or "unreachable" in said or "No route" in said:
        why = f"{where} stays silent; check the network, or the address"
    else:
        why = (said.splitlines() or ["no reason given"])[0].rstrip(".")
    return StoreUnreachable(f"The store at {place} does not answer: {why}.")


def right_missing(url: URL, error: DBAPIError) -> StoreForbidden | None:
    """Return the plain sentence for a right that the server has not given; None where another thing is wrong."""
    if getattr(error.orig, "sqlstate", None) != NO_RIGHT:
        return None
    return StoreForbidden(
        f"The server of the store at {shown_address(url)} does not allow '{url.username or 'this user'}' to do this; "
        "ask whoever runs it for the right to make and change its tables."
    )


def shown_address(url: URL) -> str:
    """Return an address as a user writes it, without its password."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
