"""Class embeddings survive their file; what is missing in it is named."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from diffclip.errors import UserError
from diffclip.language.embeddings import embeddings_name, read_embeddings, write_embeddings
from diffclip.language.weights import weights_name

NAMES = ("water", "parking lot 1", "trees")
VALUES = np.arange(1, 13, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def path(tmp_path):
    """Write a good file and return its path."""
    found = tmp_path / "texts.npz"
    write_embeddings(found, NAMES, VALUES, "ViT-B-32/openai", ["p1", "p3"])
    return found


def test_classes_are_looked_up_by_name_in_the_order_asked_for(path):
    found = read_embeddings(path, ["trees", "water"])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VALUES[[2, 0]])


def test_the_file_says_which_weights_and_prompts_it_is_from(path):
    with np.load(path) as stored:
        assert str(stored["weights"]) == "ViT-B-32/openai"
        assert stored["prompts"].tolist() == ["p1", "p3"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert embeddings_name(path) == f"file: ViT-B-32/openai ({digest})"


def test_a_file_that_does_not_name_its_weights_is_called_unknown(tmp_path):
    np.savez(tmp_path / "texts.npz", names=np.array(NAMES), embeddings=VALUES)
    assert embeddings_name(tmp_path / "texts.npz").startswith("file: weights unknown (")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": None, "name": np.array(NAMES)}, "names: missing (did you mean 'name'?); expected the names of N"),
        ({"embeddings": None}, "embeddings: missing; expected numbers of shape (N, D)"),
        ({"names": np.arange(3)}, "names: found int64 of shape (3,), expected N different strings"),
        ({"names": np.array(["water", "water", "trees"])}, "expected N different strings"),
        ({"embeddings": VALUES[:2]}, "embeddings: found float32 of shape (2, 4), expected floats of shape (3, D)"),
        ({"embeddings": VALUES[0]}, "embeddings: found float32 of shape (4,), expected floats of shape (3, D)"),
        ({"embeddings": VALUES.astype(int)}, "embeddings: found int64 of shape (3, 4), expected floats"),
        ({"embeddings": np.where(VALUES == 2, np.nan, VALUES)}, "found values that are not finite for 'water'"),
        ({"embeddings": VALUES * [[1], [0], [1]]}, "found zeros only for 'parking lot 1'"),
        (
            {"names": np.array(["water", "parking", "trees"])},
            "names: found water, parking, trees; expected 'parking lot 1' as well (did you mean 'parking'?)",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_by_file_and_key(tmp_path, change, said):
    arrays = {"names": np.array(NAMES), "embeddings": VALUES, **change}
    path = tmp_path / "texts.npz"
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(UserError, match=re.escape(said)) as error:
        read_embeddings(path, NAMES)
    assert str(error.value).startswith(str(path))


def test_files_that_are_absent_or_of_another_kind_are_refused(tmp_path):
    for read in (lambda path: read_embeddings(path, NAMES), embeddings_name):
        with pytest.raises(UserError, match=r"absent\.npz: no such file"):
            read(tmp_path / "absent.npz")
        (tmp_path / "text.npz").write_text("no archive")
        with pytest.raises(UserError, match=r"text\.npz: found no \.npz file of plain arrays"):
            read(tmp_path / "text.npz")
        np.savez(tmp_path / "pickled.npz", names=np.array([object()], dtype=object), embeddings=VALUES)
        with pytest.raises(UserError, match=r"pickled\.npz: found no \.npz file of plain arrays"):
            read(tmp_path / "pickled.npz")


def test_weights_are_named_by_tag_by_checksum_or_as_random(tmp_path):
    path = tmp_path / "RemoteCLIP-ViT-B-32.pt"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()[:12]
    assert weights_name("ViT-B-32", "openai") == "ViT-B-32/openai"
    assert weights_name("ViT-B-32", "random") == "random"
    assert weights_name("ViT-B-32", str(path)) == f"RemoteCLIP-ViT-B-32.pt ({digest})"
    path.write_bytes(b"other weights")
    assert digest not in weights_name("ViT-B-32", str(path))
    with pytest.raises(UserError, match=r"absent\.pt: no such file"):
        weights_name("ViT-B-32", str(tmp_path / "absent.pt"))
