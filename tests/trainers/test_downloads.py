"""Downloads from a server on this machine: checksums, archives, what is there already, and what goes wrong."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nas.cli import main
from trainers import DATASETS, Dataset, Samples
from trainers.downloads import DownloadError, download
from trainers.samples import Split


class Server(ThreadingHTTPServer):
    """Gives out ``files`` and notes what is asked for; ``broken`` ones end a byte early, ``slow`` ones wait there."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.slow: set[str] = set()
        self.asked: list[str] = []

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path[1:]
        self.server.asked.append(name)
        if name not in self.server.files:
            self.send_error(404)
            return
        content = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:-1] if name in self.server.broken | self.server.slow else content)
        while name in self.server.slow:
            time.sleep(0.05)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.slow.clear()
        server.shutdown()


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


class Remote(Dataset):
    """A data set whose files come from the server of the test."""

    origin = "Ask its author."
    folder: ClassVar[str] = "remote"

    def classes(self) -> tuple[str, ...]:
        return ("a", "b")

    def found(self) -> str | None:
        place = Path(self.location) / self.folder
        return str(place) if self.location and place.is_dir() and any(place.iterdir()) else None

    def load(self, split: Split, limit: int | None = None) -> Samples:
        raise NotImplementedError


def remote(root: Path, files: Mapping[str, tuple[str, str]]) -> Dataset:
    return type("Remote", (Remote,), {"files": files})(str(root))


def left(root: Path) -> list[str]:
    """Every file and folder below ``root``, hidden ones too."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.fixture
def pair(server: Server, tmp_path: Path) -> Dataset:
    """A data set of two files, for ``tmp_path``."""
    server.files = {"x.gz": b"images", "y.gz": b"labels"}
    return remote(tmp_path, {f"remote/{n}": (server.address(n), md5(c)) for n, c in server.files.items()})


def test_files_are_put_where_the_data_set_looks_for_them(pair: Dataset, server: Server, tmp_path: Path) -> None:
    told: list[str] = []
    download(pair, tmp_path, told.append)
    assert left(tmp_path) == ["remote", "remote/x.gz", "remote/y.gz"]
    assert (tmp_path / "remote" / "y.gz").read_bytes() == b"labels"
    assert told == [f"downloading {server.address(name)}" for name in ("x.gz", "y.gz")]
    assert pair.found() == str(tmp_path / "remote")


def test_what_is_there_is_not_downloaded_again(pair: Dataset, server: Server, tmp_path: Path) -> None:
    download(pair, tmp_path, lambda line: None)
    (tmp_path / "remote" / "y.gz").unlink()
    told: list[str] = []
    download(pair, tmp_path, told.append)
    assert server.asked == ["x.gz", "y.gz", "y.gz"]
    assert told == [f"already there: {tmp_path / 'remote' / 'x.gz'}", f"downloading {server.address('y.gz')}"]


def test_a_file_with_other_content_is_replaced(pair: Dataset, tmp_path: Path) -> None:
    download(pair, tmp_path, lambda line: None)
    (tmp_path / "remote" / "x.gz").write_bytes(b"imag")
    download(pair, tmp_path, lambda line: None)
    assert (tmp_path / "remote" / "x.gz").read_bytes() == b"images"


def test_a_data_set_that_lies_elsewhere_is_left_alone(server: Server, tmp_path: Path) -> None:
    place = tmp_path / "remote"
    place.mkdir()
    (place / "labels.npz").touch()
    told: list[str] = []
    download(remote(tmp_path, {"Others/raw/x.gz": (server.address("x.gz"), md5(b""))}), tmp_path, told.append)
    assert told == [f"already there: {place}"]
    assert server.asked == []


def test_another_checksum_is_one_message_and_nothing_is_kept(pair: Dataset, server: Server, tmp_path: Path) -> None:
    server.files["x.gz"] = b"something else"
    message = (
        rf"{server.address('x.gz')} has the checksum {md5(b'something else')}, but {md5(b'images')} was published, "
        r"so it was not kept\. Try again later\. Ask its author\."
    )
    with pytest.raises(DownloadError, match=message):
        download(pair, tmp_path, lambda line: None)
    assert left(tmp_path) == ["remote"]


def test_a_connection_that_breaks_leaves_nothing_half_written(pair: Dataset, server: Server, tmp_path: Path) -> None:
    server.broken.add("y.gz")
    with pytest.raises(DownloadError, match=rf"{server.address('y.gz')} could not be downloaded: .+\. Try again\."):
        download(pair, tmp_path, lambda line: None)
    assert left(tmp_path) == ["remote", "remote/x.gz"]
    server.broken.clear()
    download(pair, tmp_path, lambda line: None)
    assert server.asked == ["x.gz", "y.gz", "y.gz"]


def test_a_file_that_the_server_lacks_is_named(pair: Dataset, server: Server, tmp_path: Path) -> None:
    del server.files["x.gz"]
    with pytest.raises(DownloadError, match=rf"{server.address('x.gz')} could not be downloaded: 404"):
        download(pair, tmp_path, lambda line: None)
    assert left(tmp_path) == ["remote"]


def test_a_server_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    with Server() as gone:
        address = gone.address("x.gz")
    with pytest.raises(DownloadError, match=rf"{address} could not be downloaded: .*refused"):
        download(remote(tmp_path, {"remote/x.gz": (address, md5(b""))}), tmp_path, lambda line: None)


def test_a_folder_that_cannot_be_written_is_named(pair: Dataset, tmp_path: Path) -> None:
    (tmp_path / "remote").touch()
    with pytest.raises(DownloadError, match=rf"could not be downloaded: .*File exists.*{tmp_path / 'remote'}"):
        download(pair, tmp_path, lambda line: None)


def packed(files: Mapping[str, bytes]) -> bytes:
    """A .tar.gz archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def archive(server: Server, tmp_path: Path) -> Callable[[dict[str, bytes]], Dataset]:
    """A data set whose one file is an archive."""

    def made(files: dict[str, bytes]) -> Dataset:
        server.files = {"remote.tar.gz": packed(files)}
        return remote(tmp_path, {n: (server.address(n), md5(c)) for n, c in server.files.items()})

    return made


def test_an_archive_is_unpacked_and_not_kept(
    archive: Callable[[dict[str, bytes]], Dataset], server: Server, tmp_path: Path
) -> None:
    place = archive({"remote/train": b"1", "remote/test": b"2"})
    for _ in range(2):
        download(place, tmp_path, lambda line: None)
    assert left(tmp_path) == ["remote", "remote/test", "remote/train"]
    assert server.asked == ["remote.tar.gz"]


def test_an_archive_that_reaches_out_of_its_folder_is_refused(
    archive: Callable[[dict[str, bytes]], Dataset], tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match="outside the destination"):
        download(archive({"../../escaped": b"1"}), tmp_path, lambda line: None)
    assert left(tmp_path) == []
    assert not (tmp_path.parent / "escaped").exists()


def test_a_folder_in_the_way_of_an_archive_is_not_overwritten(
    archive: Callable[[dict[str, bytes]], Dataset], tmp_path: Path
) -> None:
    (tmp_path / "remote").mkdir()
    with pytest.raises(DownloadError, match=rf"{tmp_path / 'remote'} exists, but is not complete\. Remove it"):
        download(archive({"remote/train": b"1"}), tmp_path, lambda line: None)
    assert left(tmp_path) == ["remote"]


def test_ctrl_c_leaves_nothing_half_written(server: Server, tmp_path: Path) -> None:
    server.files["mnist.gz"] = bytes(1_000_000)
    server.slow.add("mnist.gz")
    files = {"MNIST/raw/train-images-idx3-ubyte.gz": (server.address("mnist.gz"), md5(b""))}
    code = (
        "import signal\nimport sys\nfrom trainers.datasets.mnist import Mnist\nfrom nas.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # shells ignore it in what runs in the background
        f"Mnist.files = {files!r}\nsys.argv = ['nas', 'data', '--download', 'mnist']\nmain()"
    )
    environment = {**os.environ, "NAS_DATA": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)
    while not any(path.stat().st_size for path in tmp_path.rglob("*.gz")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert left(tmp_path) == ["MNIST", "MNIST/raw"]


# The command


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["nas", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0  # type: ignore[return-value]


def test_the_command_downloads_into_the_data_folder(
    pair: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(DATASETS, "remote", type(pair))
    monkeypatch.setenv("NAS_DATA", str(tmp_path / "new"))
    assert run("data", "--download", "remote", monkeypatch=monkeypatch) == 0
    assert left(tmp_path / "new") == ["remote", "remote/x.gz", "remote/y.gz"]
    assert "downloading http://127.0.0.1" in capsys.readouterr().out


def test_a_wrong_checksum_ends_the_command_with_one_message(
    pair: Dataset,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.files["x.gz"] = b"something else"
    monkeypatch.setitem(DATASETS, "remote", type(pair))
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    assert run("data", "--download", "remote", monkeypatch=monkeypatch) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(f"Error: {server.address('x.gz')} has the checksum md5:")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnst", "Error: --download mnst: unknown data set 'mnst'. Did you mean 'mnist'?"),
        ("digits", "it is not known where to download this data set. It comes with scikit-learn."),
        ("mnist:here", "unknown data set 'mnist:here'"),
    ],
)
def test_a_name_that_cannot_be_downloaded_is_told(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    assert run("data", "--download", name, monkeypatch=monkeypatch) == 2
    assert message in capsys.readouterr().err


def test_without_a_data_folder_nothing_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NAS_DATA", raising=False)
    assert run("data", "--download", "mnist", monkeypatch=monkeypatch) == 2
    assert "NAS_DATA is not set. Set it to the folder that shall hold the data sets." in capsys.readouterr().err


def test_without_pooch_the_extra_is_named(pair: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ValueError, match=r"downloads need pooch\. Install it: pip install 'mixing-nas\[download\]'"):
        download(pair, tmp_path, lambda line: None)


@pytest.mark.parametrize("name", [name for name, kind in DATASETS.items() if kind.files])
def test_what_is_downloaded_is_where_it_is_looked_for(name: str, tmp_path: Path) -> None:
    for file, (address, checksum) in DATASETS[name].files.items():
        algorithm, _, digest = checksum.partition(":")
        assert len(bytes.fromhex(digest)) == hashlib.new(algorithm).digest_size
        assert address.endswith(f"/{Path(file).name}")
        place = tmp_path / file
        if not file.endswith(".tar.gz"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
            assert DATASETS[name](str(tmp_path)).found() == str(place.parent)
