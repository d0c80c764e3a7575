import hashlib
import io
import shutil
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crowd_sim.crowd.sources import download
from crowd_sim.crowd.sources.download import fetch_movielens
from crowd_sim.crowd.sources.movielens import load_movielens
from crowd_sim.errors import InputError

FILES = {
    "ratings.csv": b"userId,movieId,rating,timestamp\n1,1,4.0,1\n",
    "movies.csv": b"movieId,title,genres\n1,A,Drama\n",
    "README.txt": b"licence",
    "tags.csv": b"not wanted",
}


@pytest.fixture
def served(monkeypatch):
    """A local stand-in for GroupLens; yields the bodies it serves and the paths it was asked for."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in FILES.items():
            archive.writestr(f"ml-latest-small/{name}", data)
    state = {"body": buffer.getvalue(), "asked": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state["asked"] += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(state["body"])))
            self.end_headers()
            self.wfile.write(state["body"])

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "URL", f"http://127.0.0.1:{server.server_port}/ml-latest-small.zip")
    monkeypatch.setattr(download, "ZIP_SHA256", hashlib.sha256(state["body"]).hexdigest())
    digests = {name: hashlib.sha256(FILES[name]).hexdigest() for name in ("ratings.csv", "movies.csv")}
    monkeypatch.setattr(download, "FILE_SHA256", digests)
    yield state
    server.shutdown()
    server.server_close()


def test_it_unpacks_what_is_wanted_and_asks_only_once(served, tmp_path):
    told = []
    place = fetch_movielens(tmp_path / "data", lambda *stage: told.append(stage))
    assert told[-1][0] == "download"
    assert place == tmp_path / "data" / "ml-latest-small"
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {
        name: data for name, data in FILES.items() if name != "tags.csv"
    }
    assert [path.name for path in place.parent.iterdir()] == ["ml-latest-small"]
    assert fetch_movielens(tmp_path / "data") == place
    assert served["asked"] == 1
    assert load_movielens(tmp_path / "data").ids == ("1",)


def test_a_wrong_checksum_is_refused_and_leaves_nothing(served, tmp_path):
    served["body"] += b" "
    with pytest.raises(InputError, match="another checksum") as caught:
        fetch_movielens(tmp_path)
    assert caught.value.field == download.URL
    assert list(tmp_path.iterdir()) == []


def test_without_internet_one_line_says_what_to_do(served, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "URL", "http://127.0.0.1:9/ml-latest-small.zip")
    with pytest.raises(InputError) as caught:
        fetch_movielens(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert all(words in message for words in (download.URL, "another machine", "crowd.path=DIR", "CROWD_SIM_DATA"))
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_never_overwritten(served, tmp_path):
    mine = tmp_path / "ml-latest-small" / "ratings.csv"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(InputError, match="move it away"):
        fetch_movielens(tmp_path)
    assert mine.read_text() == "mine"
    assert served["asked"] == 0


def test_a_folder_that_cannot_be_made_is_named(served, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        fetch_movielens(tmp_path / "file")
    assert caught.value.field == str(tmp_path / "file")


def test_the_real_files_have_the_checksums(data_folder, tmp_path):
    folder = data_folder if (data_folder / "ratings.csv").exists() else data_folder / "ml-latest-small"
    shutil.copytree(folder, tmp_path / "ml-latest-small")
    assert fetch_movielens(tmp_path) == tmp_path / "ml-latest-small"
