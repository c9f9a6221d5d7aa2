"""Addresses: what a server lists and gives is read, and nothing else is ever asked for."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from melaudit.audit.prepare.configuration import read_settings
from melaudit.errors import DatasetError
from melaudit.images.contents import contents_of
from melaudit.images.dataset import open_dataset
from melaudit.images.image_stream import ImageStream
from melaudit.images.imagefile import read_image
from melaudit.images.preprocessing import resolve
from melaudit.images.storage import remote
from melaudit.images.storage.address import absolute, address_of, is_address, within
from melaudit.images.storage.stored import Stored
from tests.images.containers.test_tar_shards import packed
from tests.images.encoded import JPEG, PNG

pytest.importorskip("aiohttp")

NAMES = ("a/1.jpg", "a/with blank.jpg", "b/3.png")


class Server(http.server.SimpleHTTPRequestHandler):
    """Lists folders, gives parts of files, notes what is asked for, and has a page that is odd."""

    asked: list[str]
    ranges = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/odd/":
            links = ["x.jpg", "../secret/s.jpg", "%2e%2e/secret/s.jpg", "?C=N", "/secret/s.jpg"]
            links += ["http://elsewhere.invalid/y.jpg", "moved.jpg"]
            return self._send(200, "".join(f'<a href="{to}">.</a>' for to in links).encode())
        if self.path == "/odd/moved.jpg":
            self.send_response(302)
            self.send_header("Location", "/secret/s.jpg")
            return self.end_headers()
        if self.path == "/closed/":
            return self._send(403, b"")
        part, path = self.headers.get("Range"), Path(self.translate_path(self.path))
        if part and self.ranges and path.is_file():
            first, last = part.removeprefix("bytes=").split("-")
            content = path.read_bytes()
            return self._send(206, content[int(first) : int(last or len(content)) + 1])
        return super().do_GET()

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, type[Server]]]:
    for name in NAMES:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(PNG if name.endswith("png") else JPEG)
    for folder in ("secret", "odd"):
        (tmp_path / folder).mkdir()
    (tmp_path / "secret" / "s.jpg").write_bytes(JPEG)
    (tmp_path / "odd" / "x.jpg").write_bytes(JPEG)
    packed(tmp_path / "t.tar", [("a/1.jpg", JPEG), ("b/2.png", PNG)])
    handler = type("Handler", (Server,), {"asked": []})
    make = functools.partial(handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), make) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


def test_a_folder_of_a_web_server_is_a_folder(served: tuple[str, type[Server]]) -> None:
    address, _ = served
    dataset = open_dataset(Path(f"{address}/set"))
    assert dataset.ids == NAMES
    assert dataset.counts == {"a": 2, "b": 1}
    assert [read_image(path).status for path in dataset.paths] == ["ok"] * 3
    contents = contents_of(dataset.paths, lambda _: None)
    stream = ImageStream(dataset.paths, resolve(None, image_size=32), workers=1, contents=contents)
    (loaded,) = stream.read([range(3)])
    assert loaded.positions == (0, 1, 2)


def test_a_table_has_its_images_on_a_web_server(
    served: tuple[str, type[Server]], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("image,dx\n1.jpg,x\nb/3,y\n")
    dataset = open_dataset(tmp_path / "t.csv", image_root=Path(f"{served[0]}/set"))
    assert dataset.ids == ("a/1.jpg", "b/3.png")


def test_nothing_above_the_address_is_asked_for(served: tuple[str, type[Server]]) -> None:
    address, server = served
    dataset = open_dataset(Path(f"{address}/odd"))
    assert dataset.ids == ("moved.jpg", "x.jpg")
    reasons = [read_image(path).reasons for path in dataset.paths]
    assert reasons == [("empty",), ()]
    assert not [path for path in server.asked if "secret" in path]


def test_a_tar_file_is_read_in_parts(served: tuple[str, type[Server]]) -> None:
    address, server = served
    dataset = open_dataset(Path(f"{address}/t.tar"))
    assert dataset.counts == {"a": 1, "b": 1}
    assert [read_image(path).status for path in dataset.paths] == ["ok", "ok"]
    server.ranges = False
    with pytest.raises(DatasetError, match="whole objects only; download it"):
        open_dataset(Path(f"{address}/t.tar"))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/nothing", "there is nothing at"),
        ("/closed", "does not answer.*403"),
        ("/t.csv", "is one file.*--image-root ADDRESS"),
        ("/secret/s.jpg", "is one file"),
    ],
)
def test_what_cannot_be_listed_is_refused(
    served: tuple[str, type[Server]], path: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_PAUSE", 0)
    with pytest.raises(DatasetError, match=said):
        open_dataset(Path(served[0] + path))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_server_that_stops_ends_the_run_and_no_image_is_skipped_for_it(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_PAUSE", 0)
    gone = str(Stored("http://127.0.0.1:9/a/1.jpg", ""))
    stream = ImageStream([gone], resolve(None, image_size=32), workers=workers)
    with pytest.raises(DatasetError, match=r"does not answer .*Run the same command again"):
        list(stream.read([[0]]))


# --- object stores, by a file system in memory that says versions as they do


class Bucket(MemoryFileSystem):  # type: ignore[misc]  # fsspec carries no types
    protocol = "s3"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    refuses: Exception | None = None
    read: ClassVar[list[str]] = []

    version_is_called: ClassVar[str] = "ETag"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.partition("://")[2].strip("/") if "://" in path else path

    def info(self, path: str, **more: Any) -> dict[str, Any]:
        if self.refuses is not None:
            raise self.refuses
        about: dict[str, Any] = super().info(path, **more)
        if about["type"] == "file":
            about[self.version_is_called] = f'"{hash(self.store[about["name"]].getvalue())}"'
        return about

    def find(self, path: str, **more: Any) -> dict[str, Any]:
        if self.refuses is not None:
            raise self.refuses
        found: dict[str, Any] = super().find(path, **more)
        return {name: self.info(name) for name in found}

    def cat_file(self, path: str, **more: Any) -> bytes:
        self.read.append(path)
        return bytes(super().cat_file(path, **more))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr(remote, "_PAUSE", 0)
    files = Bucket(skip_instance_cache=True)
    monkeypatch.setattr(remote, "_of_scheme", lambda _: files)
    for name in NAMES:
        files.pipe_file(f"s3://bucket/set/{name}", JPEG)
    yield files
    Bucket.store.clear()
    Bucket.read.clear()


def test_a_bucket_is_a_folder_and_its_versions_say_what_objects_hold(bucket: Bucket) -> None:
    dataset = open_dataset(Path("s3://bucket/set"))
    assert dataset.ids == NAMES
    assert dataset.sizes.tolist() == [len(JPEG)] * 3
    contents = contents_of(dataset.paths, lambda _: None)
    assert not bucket.read  # the list says enough
    decoded = read_image(dataset.paths[0])
    assert decoded.status == "ok"
    assert np.array_equal(np.frombuffer(decoded.content, np.uint8), contents[0])
    assert len(np.unique(contents, axis=0)) == 1
    bucket.pipe_file("s3://bucket/set/a/1.jpg", PNG)
    with pytest.raises(DatasetError, match="no longer the object that it was"):
        read_image(dataset.paths[0])
    again = open_dataset(Path("s3://bucket/set"))
    assert not np.array_equal(contents_of(again.paths, lambda _: None)[0], contents[0])


@pytest.mark.parametrize(
    ("scheme", "version"), [("gs", "md5Hash"), ("gcs", "etag"), ("az", "etag"), ("abfs", "etag")]
)
def test_buckets_of_other_stores_are_read_and_their_versions_are_known(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, scheme: str, version: str
) -> None:
    monkeypatch.setattr(Bucket, "version_is_called", version)
    dataset = open_dataset(Path(f"{scheme}://bucket/set"))
    assert dataset.ids == NAMES
    # The last one is a JPEG that is called a PNG.
    assert [read_image(path).status for path in dataset.paths] == ["ok", "ok", "flagged"]
    bucket.pipe_file("s3://bucket/set/a/1.jpg", PNG)
    with pytest.raises(DatasetError, match="no longer the object that it was"):
        read_image(dataset.paths[0])


def test_an_object_that_is_gone_is_missing(bucket: Bucket) -> None:
    dataset = open_dataset(Path("s3://bucket/set"))
    bucket.rm_file("/bucket/set/b/3.png")
    assert read_image(dataset.paths[2]).reasons == ("missing",)


class NoCredentialsError(Exception):
    """As botocore names it."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoCredentialsError("Unable to locate credentials"), "AWS_PROFILE.*FSSPEC_S3_ANON=true"),
        (PermissionError("Forbidden"), "may not be read with the credentials"),
        (ConnectionError("refused"), "does not answer.*refused"),
        (FileNotFoundError("The specified bucket does not exist"), "there is nothing at"),
    ],
)
def test_a_bucket_that_cannot_be_read_says_what_to_do(
    bucket: Bucket, error: Exception, said: str
) -> None:
    bucket.refuses = error
    with pytest.raises(DatasetError, match=said):
        open_dataset(Path("s3://bucket/set"))


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs")])
def test_a_scheme_without_its_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, scheme: str, package: str
) -> None:
    def absent(scheme: str, **_: Any) -> None:
        raise ImportError(f"Install {package} to access {scheme}")

    monkeypatch.setattr(fsspec, "filesystem", absent)
    remote._of_scheme.cache_clear()
    with pytest.raises(DatasetError, match=f"pip install fsspec {package}"):
        open_dataset(Path(f"{scheme}://bucket/set"))
    remote._of_scheme.cache_clear()


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_a_store_that_refuses_what_it_is_given_says_so(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    said = "Must provide either a connection_string or account_name with credentials!!"

    def refused(*_: Any, **__: Any) -> None:
        raise ValueError(said)

    monkeypatch.setattr(fsspec, "filesystem", refused)
    remote._of_scheme.cache_clear()
    with pytest.raises(DatasetError, match=rf"{scheme}:// cannot be used \(ValueError: {said}\)"):
        open_dataset(Path(f"{scheme}://bucket/set"))
    remote._of_scheme.cache_clear()


# --- addresses where paths can stand


@pytest.mark.parametrize("given", ["pipe:/cat x", "file:///etc", "s3://b/x::gs://y", "ftp://h/x"])
def test_other_schemes_lead_nowhere(given: str) -> None:
    with pytest.raises(DatasetError, match="no address that images are read from"):
        open_dataset(Path(given))


def test_an_address_survives_where_paths_are_made_whole(tmp_path: Path) -> None:
    given = Path("s3://bucket/set/")
    assert address_of(given) == "s3://bucket/set"
    assert address_of(absolute(given)) == address_of(within(tmp_path, given)) == "s3://bucket/set"
    assert not is_address(Path("C:/pictures")) and address_of("a:b/c") is None
    assert absolute(Path("x")) == Path.cwd() / "x"
    (tmp_path / "melaudit.toml").write_text('data = "https://host/set"\nmodel = "m.pt"\n')
    settings = read_settings(tmp_path / "melaudit.toml")
    assert address_of(settings["data"]) == "https://host/set"
    assert settings["model"] == tmp_path / "m.pt"


def test_what_an_image_is_named_by_can_be_read_back() -> None:
    stored = Stored("/x/t.tar", "a/1.jpg", 512, 99, "v")
    assert Stored.at(str(stored)) == stored
    assert Stored.at(str(replace(stored, version=""))) == replace(stored, version="")
    assert Stored.at("/x/1.jpg") is None
