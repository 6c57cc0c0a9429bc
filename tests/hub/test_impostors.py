"""impostors: a directory whose files are not what their names say is refused, and every one of them is named."""

import time

import pytest

from wellread.errors import CheckpointError
from wellread.hub.integrity import refuse_wrong_files

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 437951328\n"
WEIGHTS = (
    *("model.safetensors", "pytorch_model.bin", "2_Dense/pytorch_model.bin", "spiece.model", "saved_model.pb"),
    *("variables/variables.index", "variables/variables.data-00000-of-00001", "bert_model.ckpt.data-00000-of-00001"),
)
TEXTS = ("config.json", "vocab.txt", "model.safetensors.index.json")
LFS = "run `git lfs pull` there, or fetch the model with `wellread pull`"
FETCH = "fetch the model again with `wellread pull`"


@pytest.fixture
def directory(tmp_path):
    """A directory in which everything is what its name says, or nobody's business."""
    for name in WEIGHTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(2000))
    for name in TEXTS:
        (tmp_path / name).write_bytes(b"{}")
    (tmp_path / "README.md").write_bytes(POINTER)
    (tmp_path / "page.html").write_bytes(b"<html>")
    (tmp_path / "variables" / "empty.txt").touch()
    return tmp_path


def refused(directory, found, advice):
    with pytest.raises(CheckpointError) as error:
        refuse_wrong_files(directory)
    assert str(error.value) == f"{directory} was to be read; found {found}; {advice}"


def test_honest_files_pass_in_no_time(directory):
    for number in range(20):
        (directory / f"{number}.bin").write_bytes(bytes(1_000_000))
    refuse_wrong_files(directory)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        refuse_wrong_files(directory)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.002


@pytest.mark.parametrize("name", WEIGHTS + TEXTS)
def test_a_pointer_is_named_with_the_size_it_stands_for(directory, name):
    (directory / name).write_bytes(POINTER)
    refused(directory, f"{name}, a git-lfs pointer to 437951328 bytes", LFS)


def test_a_pointer_without_a_size_is_one_all_the_same(directory):
    (directory / "vocab.txt").write_bytes(POINTER.partition(b"size")[0])
    refused(directory, "vocab.txt, a git-lfs pointer to an unknown number of bytes", LFS)


@pytest.mark.parametrize("name", WEIGHTS + TEXTS)
@pytest.mark.parametrize("page", [b"<!doctype HTML><p>", b"\xef\xbb\xbf\r\n <HTML lang=en>" + bytes(3000)])
def test_a_page_is_named(directory, name, page):
    (directory / name).write_bytes(page)
    refused(directory, f"{name}, a web page", FETCH)


@pytest.mark.parametrize("name", WEIGHTS)
def test_empty_weights_are_named(directory, name):
    (directory / name).write_bytes(b"")
    refused(directory, f"{name}, an empty file", FETCH)


def test_all_are_named_at_once(directory):
    (directory / "vocab.txt").write_bytes(b"<html>")
    (directory / "model.safetensors").write_bytes(POINTER)
    (directory / "saved_model.pb").write_bytes(b"")
    pointer = "model.safetensors, a git-lfs pointer to 437951328 bytes"
    refused(directory, f"{pointer}; saved_model.pb, an empty file; vocab.txt, a web page", LFS)


def test_links_to_files_are_followed_as_in_the_cache_of_the_hub(directory):
    (directory / "blob").write_bytes(POINTER)
    (directory / "config.json").unlink()
    (directory / "config.json").symlink_to("blob")
    (directory / "variables" / "again").symlink_to(directory)  # a circle
    refused(directory, "config.json, a git-lfs pointer to 437951328 bytes", LFS)


def test_what_cannot_be_read_is_named(directory):
    missing = directory / "nothing"
    refused(missing, f"that [Errno 2] No such file or directory: '{missing}'", "check the path")
    (directory / "model.bin").symlink_to("nothing")
    with pytest.raises(CheckpointError, match="found that .* No such file .*; check the path"):
        refuse_wrong_files(directory)
