"""The official weights come over the network once, and only the right ones."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from napari_prts.errors import ModelError
from napari_prts.segmentation import VERSATILE_HE, ModelSource, load_model
from tests.segmentation.keras_reference import Graph, KerasSettings, write_folder


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


@pytest.fixture
def source(tmp_path):
    """A small model on a server of this machine."""
    graph = Graph(KerasSettings(), seed=5)
    graph.run(np.zeros((16, 16, 3)))
    folder = write_folder(tmp_path / "model", graph)
    served = tmp_path / "served"
    served.mkdir()
    with zipfile.ZipFile(served / "small.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    digest = hashlib.sha256((served / "small.zip").read_bytes()).hexdigest()
    handler = partial(QuietHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/small.zip"
        yield ModelSource("small", url, digest, 0.5, "CC0-1.0")
        server.shutdown()
        thread.join()


def test_downloaded_once_and_kept(source):
    model = load_model("small", source=source)
    assert (model.name, model.mpp, model.card["licence"]) == ("small", 0.5, "CC0-1.0")
    # A second time nothing is asked of the network: the address leads nowhere.
    offline = replace(source, url="http://127.0.0.1:9/small.zip")
    assert load_model("small", source=offline).hash == model.hash


def test_a_wrong_checksum_keeps_nothing(source):
    wrong = replace(source, sha256="0" * 64)
    with pytest.raises(ModelError, match="SHA-256 is wrong"):
        load_model("small", source=wrong)
    assert list(wrong.path.parent.iterdir()) == []


def test_without_a_connection_the_message_says_what_to_do(source):
    offline = replace(source, url="http://127.0.0.1:9/small.zip")
    with pytest.raises(ModelError, match=r"give a local file.*weights_best\.h5"):
        load_model("small", source=offline)


def test_an_address_that_answers_not_found(source):
    moved = replace(source, url=source.url.replace("small.zip", "moved.zip"))
    with pytest.raises(ModelError, match="could not be downloaded"):
        load_model("small", source=moved)


def test_the_official_model_is_the_one_stardist_registers():
    assert VERSATILE_HE.name == "2D_versatile_he"
    assert VERSATILE_HE.url.startswith("https://github.com/stardist/stardist-models/")
    assert VERSATILE_HE.sha256.startswith("f1696ef0631bd7e1")
