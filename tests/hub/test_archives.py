"""archives: real ones are unpacked whole; what is hostile or damaged is named, and nothing is left behind."""

import gzip
import io
import multiprocessing
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from wellread.errors import CheckpointError
from wellread.files import cache_directory
from wellread.hub import archives
from wellread.hub import archives as members
from wellread.hub.archives import unpack, unpack_once

FILES = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"",
    "variables/variables.data-00000-of-00001": random.Random(0).randbytes(200_000),  # more than a chunk
    "assets/vocab.txt": "[PAD]\n한국\n".encode(),
}
KINDS = ("tar.gz", "tgz", "tar", "zip")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))


def entry(name, content=b"", **changes):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, io.BytesIO(content)


def tar_of(path, *entries, mode="w:gz", **options):
    with tarfile.open(path, mode, **options) as tar:
        for info, content in entries:
            tar.addfile(info, content)
    return path


def zip_of(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def archive_of(path, files=FILES, top=""):
    files = {top + name: content for name, content in files.items()}
    if path.suffix == ".zip":
        return zip_of(path, files)
    mode = "w" if path.suffix == ".tar" else "w:gz"
    return tar_of(path, *(entry(name, content) for name, content in files.items()), mode=mode)


def held(directory):
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def refused(archive, found, advice):
    """See that the archive is refused in these words, and that nothing of it stays."""
    before = held(archive.parent)
    with pytest.raises(CheckpointError) as error:
        unpack(archive, archive.parent / "out" / "model")
    assert str(error.value) == f"{archive} was to be unpacked; found {found}; {advice}"
    assert held(archive.parent) == before
    assert not list((archive.parent / "out").iterdir())


def hostile(archive, found):
    refused(archive, found, "get the model from another source")


def damaged(archive, found):
    refused(archive, f"that it is damaged or no archive ({found})", "fetch it again")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top", ["", "./", "uncased_L-2_H-128_A-2/"])
def test_an_archive_is_unpacked_whole(tmp_path, kind, top):
    archive = archive_of(tmp_path / f"model.{kind}", top=top)
    directory = unpack(archive, tmp_path / "out")
    assert held(directory) == FILES
    assert directory == tmp_path / "out" / top.strip("./")


@pytest.mark.parametrize("kind", KINDS)
def test_folders_of_their_own_and_twice_are_no_obstacle(tmp_path, kind):
    archive = tmp_path / f"model.{kind}"
    (tmp_path / "model" / "empty").mkdir(parents=True)
    (tmp_path / "model" / "a").write_bytes(b"a")
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for name in ("model", "model/empty", "model/a"):
                file.write(tmp_path / name, name)
    else:
        with tarfile.open(archive, "w:gz") as file:
            file.add(tmp_path / "model", "model")
            file.add(tmp_path / "model", "model", recursive=False)
    assert held(unpack(archive, tmp_path / "out")) == {"a": b"a"}
    assert (tmp_path / "out" / "model" / "empty").is_dir()


def test_the_content_decides_and_not_the_name(tmp_path):
    archive = archive_of(tmp_path / "model.zip").rename(tmp_path / "model.tar.gz")
    assert held(unpack(archive, tmp_path / "out")) == FILES


def test_long_names_of_both_dialects_of_tar_are_read(tmp_path):
    name = "folder/" * 20 + "한국어" * 20
    for number, dialect in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        archive = tar_of(tmp_path / f"{number}.tar.gz", entry(name, b"a"), entry("b", b"b"), format=dialect)
        assert held(unpack(archive, tmp_path / f"out{number}")) == {name: b"a", "b": b"b"}


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.CONTTYPE, "of the unknown type b'7'"),
        (b"Z", "of the unknown type b'Z'"),
    ],
)
def test_a_tar_may_hold_files_and_folders_alone(tmp_path, kind, what):
    archive = tar_of(tmp_path / "model.tar.gz", entry("a", b"a"), entry("b", type=kind, linkname="/etc/passwd"))
    hostile(archive, f"that 'b' is {what}")


def test_a_sparse_file_is_refused(tmp_path):
    headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1", "GNU.sparse.size": "9999"}
    hostile(
        tar_of(tmp_path / "model.tar", entry("a", b"a", pax_headers=headers), mode="w"), "that 'a' is a sparse file"
    )


@pytest.mark.parametrize(
    ("mode", "what"),
    [(stat.S_IFLNK, "a symbolic link"), (stat.S_IFIFO, "no regular file"), (stat.S_IFCHR, "no regular file")],
)
def test_a_zip_may_hold_files_and_folders_alone(tmp_path, mode, what):
    info = zipfile.ZipInfo("b")
    info.external_attr = (mode | 0o777) << 16
    hostile(zip_of(tmp_path / "model.zip", {info: b"/etc/passwd"}), f"that 'b' is {what}")


def test_a_zip_that_is_encrypted_or_packed_otherwise_is_refused(tmp_path):
    archive = zip_of(tmp_path / "model.zip", {"a": b"a"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # in the table of contents
    archive.write_bytes(data)
    hostile(archive, "that 'a' is encrypted")
    for compression, number in ((zipfile.ZIP_BZIP2, 12), (zipfile.ZIP_LZMA, 14)):
        archive = zip_of(tmp_path / "model.zip", {"a": b"a"}, compression)
        hostile(archive, f"that 'a' is compressed in the way {number}, neither stored nor deflated")


@pytest.mark.parametrize(
    "name", ["../a", "a/../../b", "/a", "C:/a", "C:a", "a\\b", "\\\\host\\a", "a\nb", "a\x1bb", "\u202ea"]
)
@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_name_that_leads_out_or_is_strange_is_refused(tmp_path, kind, name):
    archive = archive_of(tmp_path / f"model.{kind}", {name: b"a"})
    hostile(archive, f"the name {name!r}, which leads out of the directory or can be no file's")


def test_a_name_with_nul_or_of_no_encoding_is_refused(tmp_path):
    archive = zip_of(tmp_path / "model.zip", {"aXb": b"a"})
    archive.write_bytes(archive.read_bytes().replace(b"aXb", b"a\0b"))
    hostile(archive, r"the name 'a\x00b', which leads out of the directory or can be no file's")
    archive = tar_of(tmp_path / "model.tar", entry("a\udcff", b"a"), mode="w", format=tarfile.GNU_FORMAT)
    hostile(archive, r"the name 'a\udcff', which leads out of the directory or can be no file's")


def test_a_file_without_a_name_is_refused(tmp_path):
    hostile(
        zip_of(tmp_path / "model.zip", {".": b"a"}),
        "the name '.', which leads out of the directory or can be no file's",
    )
    hostile(zip_of(tmp_path / "model.zip", {"a/": b"a"}), "that 'a/' is a folder with content")


def test_a_name_that_is_too_long_is_refused(tmp_path):
    hostile(archive_of(tmp_path / "model.tar.gz", {"a/" * 200: b""}), "a name of 399 characters, over 255")


@pytest.mark.parametrize("names", [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a")])
def test_no_member_takes_the_place_of_another(tmp_path, names):
    archive = tar_of(tmp_path / "model.tar", *(entry(name, b"a") for name in names), mode="w")
    hostile(archive, f"{names[1]!r} in the place of another member")


def test_a_bomb_is_stopped_by_what_comes_out_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "FREE_BYTES", 1_000_000)
    for kind in ("tar.gz", "zip"):
        archive = archive_of(tmp_path / f"model.{kind}", {"a": bytes(20_000_000)})
        size = archive.stat().st_size
        assert size * 100 < 20_000_000
        hostile(archive, f"over {max(size * 100, 1_000_000)} bytes inside {size}, more than wellread unpacks")


def test_a_zip_whose_members_share_their_bytes_is_stopped(tmp_path, monkeypatch):
    """Every entry of the table of contents points at the same member: the ratio of each is harmless."""
    archive = zip_of(tmp_path / "model.zip", {"a": random.Random(0).randbytes(1_000) * 30})
    data = archive.read_bytes()
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    count = 300
    total = count * (end - start)
    tail = data[end : end + 8] + count.to_bytes(2, "little") * 2 + total.to_bytes(4, "little") + data[end + 16 :]
    archive.write_bytes(data[:start] + data[start:end] * count + tail)
    hostile(archive, "'a' in the place of another member")


def test_a_small_archive_may_shrink_as_it_likes(tmp_path):
    archive = archive_of(tmp_path / "model.tar.gz", {"a": bytes(2_000_000)})
    assert archive.stat().st_size * members.MAX_RATIO < 2_000_000
    assert held(unpack(archive, tmp_path / "out")) == {"a": bytes(2_000_000)}


def test_too_many_bytes_and_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "MAX_BYTES", 100_000)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    for kind in ("tar", "zip"):
        archive = archive_of(tmp_path / f"model.{kind}")
        hostile(archive, f"over 100000 bytes inside {archive.stat().st_size}, more than wellread unpacks")
        archive = archive_of(tmp_path / f"many.{kind}", dict.fromkeys("abcd", b""))
        hostile(archive, "over 3 members, more than wellread unpacks")


@pytest.mark.parametrize("dialect", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_header_is_not_read_into_memory_whole(tmp_path, dialect):
    archive = tar_of(tmp_path / "model.tar.gz", entry("a" * 1_000_000, b"a"), format=dialect)
    with pytest.raises(CheckpointError, match=r"found a header of \d+ bytes, over 65536; get the model from another"):
        unpack(archive, tmp_path / "out")


def test_a_table_of_contents_is_not_read_into_memory_whole(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as file:
        for i in range(100):
            info = zipfile.ZipInfo(f"{i}")
            info.comment = bytes(60_000)
            file.writestr(info, b"")
    hostile(tmp_path / "model.zip", "a table of contents of over 4194304 bytes")


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\3\4", b"\x1f\x8b", b"<html>not found</html>" * 99, b"\x80" * 512])
def test_what_is_no_archive_is_named(tmp_path, content):
    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"found that it is damaged or no archive \(.+\); fetch it again"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["model.tar.gz"]


def test_an_empty_archive_is_refused(tmp_path):
    (tmp_path / "model.tar").write_bytes(bytes(10_240))
    hostile(tmp_path / "model.tar", "no files in it")
    hostile(zip_of(tmp_path / "model.zip", {"a/": b""}), "no files in it")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_named(tmp_path, kind, share):
    archive = archive_of(tmp_path / f"model.{kind}")
    data = archive.read_bytes()
    if kind == "tar":
        data = data.rstrip(b"\0")
    archive.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match="found that it is damaged or no archive"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_flipped_bit_never_changes_what_is_unpacked(tmp_path, kind):
    """Both kinds hold checksums. Bits that carry nothing but dates and the like may be whatever they are."""
    files = {"saved_model.pb": b"graph", "variables.data": b"weights" * 9}
    archive = archive_of(tmp_path / f"model.{kind}", files)
    data = archive.read_bytes()
    outcomes = []
    for place in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        archive.write_bytes(flipped)
        directory = tmp_path / "out" / str(place)
        try:
            outcomes.append(held(unpack(archive, directory)) == files)
        except CheckpointError:
            assert not directory.exists()
            outcomes.append(None)
    assert False not in outcomes
    assert outcomes.count(None) > len(outcomes) / 2


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    archive = tar_of(tmp_path / "model.tar", entry("a", b"a"), entry("b", b"b"), mode="w")
    data = bytearray(archive.read_bytes())
    data[1024] ^= 1  # of the second name, which its header's checksum covers
    archive.write_bytes(data)
    damaged(archive, "it breaks off")
    archive.write_bytes(data[:1024])  # and so without an end
    damaged(archive, "it breaks off")


def test_what_follows_the_end_is_not_passed_over(tmp_path):
    one = tar_of(tmp_path / "one.tar", entry("a", b"a"), mode="w").read_bytes()
    (tmp_path / "two.tar").write_bytes(one + one)
    damaged(tmp_path / "two.tar", "something follows its end")


def test_a_zip_that_counts_other_members_is_refused(tmp_path):
    archive = zip_of(tmp_path / "model.zip", {"a": b"a", "b": b"b"})
    data = bytearray(archive.read_bytes())
    data[-12] = 3
    archive.write_bytes(data)
    damaged(archive, "its end does not count the 2 members that were found")
    archive.write_bytes(zip_of(tmp_path / "model.zip", {"a": b"a"}).read_bytes() + b"more")
    damaged(archive, "its end does not count the 1 members that were found")


def test_a_zip_may_have_a_comment(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as file:
        file.writestr("a", b"a")
        file.comment = b"of 2020"
    assert held(unpack(tmp_path / "model.zip", tmp_path / "out")) == {"a": b"a"}


def test_a_tar_that_leads_backwards_comes_to_an_end(tmp_path):
    info, _ = entry("a")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (-1024 & (1 << 96) - 1).to_bytes(12, "big")  # the size, a negative number
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "model.tar").write_bytes(bytes(header) + bytes(10_240))
    with pytest.raises(CheckpointError, match="damaged or no archive"):
        unpack(tmp_path / "model.tar", tmp_path / "out")


def test_a_place_that_is_taken_is_left_alone(tmp_path):
    archive = archive_of(tmp_path / "model.zip")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(CheckpointError, match=r"out was to be written; found that it exists; remove it or choose"):
        unpack(archive, tmp_path / "out")
    assert held(tmp_path / "out") == {"mine": b""}


def test_an_archive_that_is_not_there_is_named(tmp_path):
    for function in (unpack_once, lambda archive: unpack(archive, tmp_path / "out")):
        with pytest.raises(
            CheckpointError, match=r"gone\.zip was to be unpacked; found that .*No such.*; check the path"
        ):
            function(tmp_path / "gone.zip")
    assert not list(tmp_path.iterdir())


def test_it_is_unpacked_once(tmp_path):
    first = unpack_once(archive_of(tmp_path / "model.tar.gz", top="model/"))
    assert held(first) == FILES
    assert first.parent.parent == cache_directory() / "unpacked"
    before = first.stat().st_mtime_ns, (first / "saved_model.pb").stat().st_ino
    assert unpack_once((tmp_path / "model.tar.gz").rename(tmp_path / "other.tgz")) == first
    assert (first.stat().st_mtime_ns, (first / "saved_model.pb").stat().st_ino) == before
    assert unpack_once(archive_of(tmp_path / "another.zip")) != first


def test_two_processes_unpack_the_same_archive(tmp_path):
    archive = archive_of(tmp_path / "model.tar.gz")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        places = set(pool.map(unpack_once, [archive] * 16))
    assert [held(place) for place in places] == [FILES]
    assert list((cache_directory() / "unpacked").iterdir()) == list(places)


def test_a_process_that_was_sooner_is_no_error(tmp_path, monkeypatch):
    archive = archive_of(tmp_path / "model.tar.gz")

    def late(archive, place):
        unpack(archive, place)
        unpack(archive, place)

    monkeypatch.setattr(archives, "unpack", late)
    assert held(unpack_once(archive)) == FILES


def test_a_damaged_archive_is_no_place_in_the_cache(tmp_path):
    archive = archive_of(tmp_path / "model.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-9])
    for _ in range(2):
        with pytest.raises(CheckpointError, match="damaged"):
            unpack_once(archive)
    assert not list((cache_directory() / "unpacked").iterdir())


def test_random_bytes_end_in_one_named_error(tmp_path):
    rng = random.Random(1)
    path: Path = tmp_path / "model.tar.gz"
    for start in (b"PK\3\4", b"PK\5\6", gzip.compress(b"")[:10], b"", bytes(512)):
        for _ in range(200):
            path.write_bytes(
                start + rng.randbytes(rng.randrange(2000)) + (b"PK\5\6" + rng.randbytes(18)) * rng.randrange(2)
            )
            with pytest.raises(CheckpointError):
                unpack(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]
