"""Objects behind addresses (s3://, gs://, https://, ...), by fsspec: listed, and read.

Only what lies below the address that the user named is asked for: redirects are not followed, and
nothing that a listing or a table says leads elsewhere. Keys and tokens are those that the packages
of fsspec find in the environment; fsspec's own variables (FSSPEC_S3_ANON=true) apply too.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, TypeVar
from urllib.parse import unquote

from melaudit.errors import DatasetError
from melaudit.images.storage.address import PACKAGES
from melaudit.images.storage.stored import MAX_BYTES, RefusedError, Stored
from melaudit.wording.names import visible

_CONNECT, _ANSWER = 10, 30
"""Seconds in which a server must take a connection, and say something on one. Chosen: below the
`worker_pool.MAX_WAIT` of one image."""
_TRIES = 3
_PAUSE = 1.0
"""Seconds before the second try, and twice that before the third. Chosen: round figures."""
_MAX_DEPTH = 64
_SAMPLE = 512
"""Bytes that are asked for to see whether a server gives parts of an object."""
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5")
"""What the packages call that which tells the content of an object from another."""
_ANONYMOUS = "; for a public bucket, FSSPEC_S3_ANON=true (s3) or FSSPEC_GS_TOKEN=anon (gs)"

T = TypeVar("T")


@dataclass(frozen=True)
class Listed:
    """An object below an address."""

    name: str
    """Relative to that address, as people write it."""
    address: str
    size: int
    """In bytes; 0 where the listing does not say it, as those of web servers do not."""
    version: str
    """What tells its content from another; "" where the listing does not say it."""


def listed(address: str) -> list[Listed]:
    """Return the objects below an address, sorted by name.

    Raises DatasetError where the address cannot be listed.
    """
    files = filesystem(address)
    try:
        if address.startswith("http"):
            found = dict(_linked(files, address))
        else:
            found = _asked(address, lambda: files.find(address, maxdepth=_MAX_DEPTH, detail=True))
            if not found:  # a search is silent about why it found nothing
                _asked(address, lambda: files.ls(address, detail=True))
    except FileNotFoundError as error:
        raise DatasetError(f"there is nothing at {visible(address)}; mend the address") from error
    except PermissionError as error:
        raise DatasetError(
            f"{visible(address)} may not be read with the credentials that are found here; name "
            f"others in the environment{_ANONYMOUS}"
        ) from error
    root, scheme = str(files._strip_protocol(address)).rstrip("/"), address.partition("://")[0]
    objects = []
    for place, about in found.items():
        name = place.removeprefix(f"{root}/")
        if name == place or "\0" in place or name.endswith("/"):
            continue
        full = place if "://" in place else f"{scheme}://{place}"
        size = int(about.get("size") or 0)
        plain = unquote(name) if scheme.startswith("http") else name
        objects.append(Listed(plain, full, size, _version(about)))
    return sorted(objects, key=lambda each: each.name)


def _linked(files: Any, address: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what the pages of a web server's folders link to, nothing above the address."""
    todo = [(f"{address}/", 0)]  # without the slash, servers send others there
    while todo:
        folder, depth = todo.pop()
        entries = _asked(address, functools.partial(files.ls, folder, detail=True))
        for entry in sorted(entries, key=lambda each: str(each["name"])):
            place = str(entry["name"])
            parts = unquote(place.removeprefix(folder).rstrip("/")).split("/")
            if not place.startswith(folder) or any(part in ("", ".", "..") for part in parts):
                continue
            if any(sign in place for sign in "?#;"):  # links that sort the list
                continue
            if not place.endswith("/"):
                yield place, entry
            elif depth < _MAX_DEPTH:
                todo.append((place, depth + 1))


def read(stored: Stored) -> bytes:
    """Return the bytes of an image behind an address.

    Raises DatasetError if the address does not answer, or its object is no longer of the version
    that was listed, and RefusedError or OSError for an image that is not there or too large.
    """
    address, part = stored.container, stored.size > 0 and bool(stored.name)
    files = filesystem(address)
    if stored.version:
        about = _asked(address, lambda: files.info(address))
        if _version(about) != stored.version:
            raise DatasetError(
                f"{visible(address)} is no longer the object that it was when the run began. Run "
                "again when nothing writes there: all images are measured again"
            )
        if not part and int(about.get("size") or 0) > MAX_BYTES:
            raise RefusedError("too_large")
    ends = {"start": stored.start, "end": stored.start + stored.size} if part else {}
    content: bytes = _asked(address, lambda: files.cat_file(address, **ends))
    if part and len(content) != stored.size:
        raise RefusedError("truncated")
    if len(content) > MAX_BYTES:
        raise RefusedError("too_large")
    if not content:
        raise RefusedError("empty")
    return content


def opened(address: str) -> tuple[IO[bytes], int, str]:
    """Return an object to read at any place, its size in bytes and its version.

    Raises DatasetError where that cannot be.
    """
    files = filesystem(address)
    about = _asked(address, lambda: files.info(address))
    size = about.get("size")
    if not size:
        raise DatasetError(f"{visible(address)} does not say how large it is; download it")
    end = min(int(size), _SAMPLE)
    if len(_asked(address, lambda: files.cat_file(address, start=0, end=end))) != end:
        raise DatasetError(
            f"{visible(address)} cannot be read in parts, as the images of a tar file are: its "
            "server gives whole objects only; download it"
        )
    content = _asked(address, lambda: files.open(address, "rb", cache_type="readahead"))
    return content, int(size), _version(about)


@functools.lru_cache
def _of_scheme(scheme: str) -> Any:
    try:
        import fsspec

        options: dict[str, Any] = {"use_listings_cache": False}  # what changed is to be noticed
        if scheme in ("http", "https"):
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_ANSWER)
            options |= {"allow_redirects": False, "client_kwargs": {"timeout": timeout}}
        elif scheme == "s3":
            waits = {"connect_timeout": _CONNECT, "read_timeout": _ANSWER}
            options |= {"config_kwargs": waits}
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        package = PACKAGES[scheme]
        raise DatasetError(
            f"{scheme}:// needs fsspec and {package}, which cannot be imported ({error}): "
            f"pip install fsspec {package}"
        ) from error
    except Exception as error:  # each package has its own: most often no account, or no credentials
        said = str(error).strip().splitlines() or [""]
        raise DatasetError(
            f"{scheme}:// cannot be used ({type(error).__name__}: {said[0]}); set account and "
            f"credentials in the environment, as {PACKAGES[scheme]} asks for them (AWS_PROFILE, "
            f"GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, ...){_ANONYMOUS}"
        ) from error


def filesystem(address: str) -> Any:
    """Return fsspec's file system for an address. Raises DatasetError without its package."""
    return _of_scheme(address.partition("://")[0])


def _version(about: Mapping[str, Any]) -> str:
    """Return what a listing says of an object's version; "" if nothing."""
    if about.get("type") != "file":
        return ""
    return next((str(about[key]).strip('"') for key in _VERSIONS if about.get(key)), "")


def _asked(address: str, ask: Callable[[], T]) -> T:
    """Return an answer, asked for a few times.

    Raises FileNotFoundError and PermissionError for what is not there or not to be read, and
    DatasetError where there is no answer.
    """
    last: BaseException = TimeoutError()
    for pause in (*(_PAUSE * 2**k for k in range(_TRIES - 1)), 0.0):
        try:
            return ask()
        except Exception as error:  # each package has its own
            reasons = list(_reasons(error))
            if any(isinstance(reason, PermissionError) for reason in reasons):
                raise PermissionError(str(error)) from error
            why = _unanswered(reasons, address.startswith("http"))
            if why is None:
                raise FileNotFoundError(str(error)) from error
            last = why
            if "redentials" in type(last).__name__:
                break
        time.sleep(pause)
    raise DatasetError(_said(address, last))


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it came of."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _unanswered(reasons: list[BaseException], web: bool) -> BaseException | None:
    """Return why there is no answer; None where the answer is that nothing is there.

    Of a `web` server, fsspec also calls not found what it could not ask for.
    """
    if isinstance(reasons[0], FileNotFoundError) and not web:
        return None
    status = next((s for r in reasons if isinstance(s := getattr(r, "status", None), int)), None)
    if status in (404, 410):
        return None
    others = [reason for reason in reasons if not isinstance(reason, FileNotFoundError)]
    if status is None and not others:
        return None
    return others[0] if others else reasons[0]


def _said(address: str, error: BaseException) -> str:
    kind = type(error).__name__
    said = str(error).strip().splitlines() or [kind]
    if "redentials" in kind:
        return (
            f"{visible(address)} needs credentials, and none are found: set those of its service "
            f"in the environment (AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, ...){_ANONYMOUS}"
        )
    return (
        f"{visible(address)} does not answer ({kind}: {said[0]}). Run the same command again when "
        "it does: what is finished is kept"
    )
