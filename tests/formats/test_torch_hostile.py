"""Torch files made to harm: each ends in one named error, at once, and nothing in it is executed."""

import pickle
import re
import struct
import time
import zipfile
import zlib

import pytest

from wellread.errors import CheckpointError
from wellread.formats.torch_file import read_torch

MAGIC = b"\x80\x02\x8a\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little") + b"."
PROTOCOL = b"\x80\x02M\xe9\x03."
SYSTEM = b"\x80\x02}" + b"X\x0d\x00\x00\x00little_endian\x88s."


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def numbers(*values):
    return b"(" + b"".join(map(number, values)) + b"t"


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(3) + b"tQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
HOOKS = b"ccollections\nOrderedDict\n)R"


def tensor(*, storage=STORAGE, offset=0, shape=(3,), strides=(1,)):
    return REBUILD + b"(" + storage + number(offset) + numbers(*shape) + numbers(*strides) + b"\x89" + HOOKS + b"tR"


def state(entry):
    """A pickle of {"a": entry}."""
    return b"\x80\x02}" + text("a") + entry + b"s."


def zip_form(path, body, *, members=(("data/0", bytes(12)),), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, raw in (("data.pkl", body), *members):
            archive.writestr(f"archive/{name}", raw)
    return path


def older_form(path, body):
    keys = b"\x80\x02]" + text("0") + b"a."
    path.write_bytes(MAGIC + PROTOCOL + SYSTEM + body + keys + struct.pack("<q", 3) + bytes(12))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pytorch_model.bin"


@pytest.fixture
def witness(tmp_path):
    """A file that the live artefacts would write."""
    return tmp_path / "executed"


def refused(path, found):
    """Read; there must be one named error, and no hang."""
    start = time.process_time()
    with pytest.raises(CheckpointError, match=found) as error:
        read_torch(path)
    assert time.process_time() - start < 10  # milliseconds; the bound is for slow machines
    assert str(path) in str(error.value)


@pytest.fixture(params=[zip_form, older_form])
def form(request):
    return request.param


def test_the_parts_below_make_a_file_that_is_read(path, form):
    assert read_torch(form(path, state(tensor())))["a"].read().tolist() == [0, 0, 0]


LIVE = {
    "REDUCE of os.system": (b"cposix\nsystem\n(" + text("{run}") + b"tR.", "the global 'posix.system'"),
    "REDUCE of eval": (b"c__builtin__\neval\n(" + text("{eval}") + b"tR.", "the global '__builtin__.eval'"),
    "inside a tensor": (state(tensor(storage=b"cposix\nsystem\n(" + text("{run}") + b"tR")), "'posix.system'"),
    "STACK_GLOBAL": (
        b"\x80\x04" + text("posix") + text("system") + b"\x93(" + text("{run}") + b"tR.",
        "'posix.system'",
    ),
    "STACK_GLOBAL of a memo": (
        b"\x80\x04" + text("posix") + b"\x94" + text("system") + b"\x94h\x00h\x01\x93(" + text("{run}") + b"tR.",
        "the global 'posix.system'",
    ),
    "a dotted name": (
        b"\x80\x04" + text("os") + text("path.os.system") + b"\x93(" + text("{run}") + b"tR.",
        "'os.path.os",
    ),
    "a global in a memo": (b"cposix\nsystem\nq\x000h\x00(" + text("{run}") + b"tR.", "the global 'posix.system'"),
    "INST": (b"(" + text("{run}") + b"iposix\nsystem\n.", "the opcode INST"),
    "OBJ": (b"(cposix\nsystem\n" + text("{run}") + b"o.", "the global 'posix.system'"),
    "after the STOP of a good state dict": (
        state(tensor())[:-1] + b"0cposix\nsystem\n(" + text("{run}") + b"tR.",
        "POP",
    ),
}


@pytest.mark.parametrize("name", LIVE)
def test_nothing_is_executed(path, form, witness, name):
    body, found = LIVE[name]
    for slot, code in ((b"{run}", f"touch {witness}"), (b"{eval}", f"open({str(witness)!r}, 'w').close()")):
        body = body.replace(text(slot.decode()), text(code))
    refused(form(path, body), re.escape(found))
    assert not witness.exists()
    if name in ("inside a tensor", "after the STOP of a good state dict"):
        return  # the standard library stops before the harm: it knows no persistent ids
    pickle.loads(body)
    assert witness.exists(), "the artefact is not live, and the test above proves nothing"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"\x82\x01.", "the opcode EXT1"),
        (b"\x83\x01\x00.", "the opcode EXT2"),
        (b"\x84\x01\x00\x00\x00.", "the opcode EXT4"),
        (b"ccollections\nOrderedDict\n)\x81.", "the opcode NEWOBJ"),
        (b"ccollections\nOrderedDict\n)}\x92.", "the opcode NEWOBJ_EX"),
        (b"(ccollections\nOrderedDict\no.", "the opcode OBJ"),
        (b"Pposix.system\n.", "the opcode PERSID"),
        (b"I7\n.", "the opcode INT"),
        (b"S'a'\n.", "the opcode STRING"),
        (b"\x97.", "the opcode NEXT_BUFFER"),
        (b"\xff.", "a byte that is no opcode"),
        (b"\x8b\xff\xff\xff\x7f.", "the opcode LONG4"),
        (b"\x8d" + b"\xff" * 8 + b".", "the opcode BINUNICODE8"),
        (b"\x8e" + b"\xff" * 8 + b".", "the opcode BINBYTES8"),
        (b"X\xff\xff\xff\xff.", r"a string of 4294967295 bytes \(at most 4096 are read\)"),
        (b"X\x02\x00\x00\x00\xff\xfe.", "a string that is not UTF-8"),
        (b"c" + b"a" * 300 + b"\nb\n.", "a global whose name does not end within 256 bytes"),
        (b"KK\x93.", "a step that takes more values than there are"),
        (b"K\x01K\x02\x93.", "a global whose name is no text"),
        (b"h\x07.", "recalls value 7, which was never kept"),
        (b"j\xff\xff\xff\xff.", "recalls value 4294967295, which was never kept"),
        (b"t.", "a step that wants a mark where none stands"),
        (b"K\x01(\x85.", "a step that takes more values than there are"),
        (b"R.", "a step that takes more values than there are"),
        (b".", "a step that takes more values than there are"),
        (b"K\x01K\x02.", "1 values left over"),
        (b"K\x01(K\x02.", "1 values left over"),
        (b"K\x01" + text("a") + b"K\x02s.", "a int where a dict must be filled"),
        (b"}K\x01a.", "a dict where a list must be filled"),
        (b"}(K\x01u.", "a key without a value"),
        (b"}" + text("a") + b"Ns" + text("a") + b"Ns.", "the key 'a' twice"),
        (b"})Ns.", "a key that is a tuple"),
        (b"}]Ns.", "a key that is a list"),
        (b"}NNs.", "a key that is a NoneType"),
        (b"K\x01)R.", "a call of a int with a tuple"),
        (b"ctorch\nFloatStorage\n)R.", "a call of torch.FloatStorage with a tuple"),
        (b"ccollections\nOrderedDict\n]R.", "a call of collections.OrderedDict with a list"),
        (b"ccollections\nOrderedDict\n)\x85R.", "collections.OrderedDict that torch does not write"),
        (b"}}b.", "a BUILD of something else than a state dict's _metadata"),
        (b"}}" + text("__class__") + b"Nsb.", "a BUILD of something else"),
        (b"]}" + text("_metadata") + b"Nsb.", "a list where a dict must be filled"),
        (b"K\x01Q.", "a persistent id that is no storage"),
        (b"(" + text("module") + b"NNNNtQ.", "a persistent id that is no storage"),
        (
            b"(" + text("storage") + b"ccollections\nOrderedDict\n" + text("0") + text("cpu") + b"K\x03tQ.",
            "that is no storage",
        ),
        (STORAGE.replace(number(3), number(-3)) + b".", "a persistent id that is no storage"),
        (STORAGE.replace(number(3), b"\x88") + b".", "a persistent id that is no storage"),
        (STORAGE.replace(text("0"), b"N") + b".", "a persistent id that is no storage"),
        (STORAGE.replace(b"tQ", b"K\x01tQ") + b".", "a persistent id that is no storage"),
        (STORAGE + STORAGE.replace(number(3), number(4)) + b".", "the storage '0' with two types or lengths"),
        (STORAGE + STORAGE.replace(b"Float", b"Long") + b".", "the storage '0' with two types or lengths"),
        (tensor(shape=(3, 1)) + b".", "_rebuild_tensor_v2 that torch does not write"),
        (tensor(shape=(-3,)) + b".", "_rebuild_tensor_v2 that torch does not write"),
        (tensor(strides=(-1,)) + b".", "_rebuild_tensor_v2 that torch does not write"),
        (tensor(offset=-1) + b".", "_rebuild_tensor_v2 that torch does not write"),
        (tensor(shape=(1,) * 65, strides=(1,) * 65) + b".", "_rebuild_tensor_v2 that torch does not write"),
        (tensor(storage=b"N") + b".", "_rebuild_tensor_v2 that torch does not write"),
        (tensor().replace(b"\x89" + HOOKS, b"\x89" + HOOKS + text("a") + b"Ns") + b".", "that torch does not write"),
        (tensor().replace(b"\x89" + HOOKS, b"") + b".", "_rebuild_tensor_v2 that torch does not write"),
        (b"ctorch._utils\n_rebuild_tensor\n)R.", "_rebuild_tensor that torch does not write"),
        (b"ctorch._utils\n_rebuild_parameter\n(N\x89" + HOOKS + b"tR.", "_rebuild_parameter that torch does not write"),
        (state(tensor(offset=1)), "'a' reaching to number 4 of a storage of 3"),
        (state(tensor(shape=(4,))), "'a' reaching to number 4 of a storage of 3"),
        (state(tensor(strides=(2,))), "'a' reaching to number 5 of a storage of 3"),
        (state(tensor(shape=(2,), strides=(2**200,))), "'a' reaching to number 1606938"),
        (state(tensor(shape=(2**62, 2**62), strides=(0, 0))), "'a' of 2 dimensions or a size that no memory has"),
        (state(tensor(shape=(0, 2**62), strides=(1, 1))), "'a' of 2 dimensions or a size that no memory has"),
        (state(tensor(shape=(10**9,), strides=(0,))), "'a', 1000000000 numbers that repeat 1 of its storage"),
    ],
)
def test_a_pickle_that_torch_does_not_write_is_refused(path, form, body, found):
    refused(form(path, body), found)


def test_the_older_rebuilding_call_and_odd_strides_are_read(path, form):
    entry = b"ctorch._utils\n_rebuild_tensor\n(" + STORAGE + number(0) + numbers(1, 3) + numbers(2**200, 1) + b"tR"
    assert read_torch(form(path, state(entry)))["a"].read().shape == (1, 3)


@pytest.mark.parametrize(("form", "bomb"), [(zip_form, b"]" * 2_000_000), (older_form, b"(h\x00" * 700_000)])
def test_endless_pickles_are_bounded(path, form, bomb):
    start = time.process_time()
    with pytest.raises(CheckpointError, match="a pickle of more than 1000000 steps"):
        read_torch(form(path, b"\x80\x02Nq\x00" + bomb))
    assert time.process_time() - start < 10  # about one; the bound is for slow machines


def test_nested_and_doubling_values_are_not_walked(path, form):
    beside = b"\x80\x02}" + text("t") + tensor() + b"s"
    deep = b")" + b"\x85" * 50_000
    doubling = b"K\x01" + b"q\x00h\x00\x86" * 10_000
    for value in (deep, doubling):
        refused(form(path, beside + text("a") + value + b"s."), r"no tensors: 'a' \(tuple\)")
        refused(form(path, beside + value + b"Ns."), "a key that is a tuple")


def test_a_long_shape_named_again_and_again_costs_nothing(path, form):
    shape = b"(" + b"K\x01" * 200_000 + b"tq\x00"
    call = REBUILD + b"q\x01(" + STORAGE + b"q\x02K\x00h\x00h\x00tR"
    refused(form(path, b"\x80\x02" + b"]" + shape + b"a" + call + b"."), "that torch does not write")


@pytest.mark.parametrize("key", ["../0", "/etc/passwd", "..\\0", "1"])
def test_a_storage_key_opens_nothing_but_members(path, key):
    entry = tensor(storage=STORAGE.replace(text("0"), text(key)))
    refused(
        zip_form(path, state(entry)),
        f"bytes of storage '0', which no tensor uses; no bytes for storage {key!r}".replace("\\", r"\\"),
    )


@pytest.mark.parametrize("size", [0, 11, 13, 24])
def test_a_storage_of_another_size_is_refused(path, size):
    refused(
        zip_form(path, state(tensor()), members=[("data/0", bytes(size))]), f"{size} bytes for storage '0' of 3 float32"
    )


def test_compressed_members_are_refused(path):
    zip_form(path, state(tensor()), members=[("data/0", bytes(2**26))], compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    refused(path, "'archive/data.pkl' compressed or encrypted.*'archive/data/0' compressed or encrypted")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(path):
    refused(
        zip_form(path, state(tensor()), members=[("data/0", bytes(12)), ("data/0", bytes(12))]),
        "'archive/data/0' 2 times",
    )


def patched(path, changes):
    """Change the zip directory's record of a member: {name: {offset in the record: (format, value)}}."""
    raw = bytearray(path.read_bytes())
    for name, fields in changes.items():
        record = raw.rindex(name.encode()) - 46
        assert raw[record : record + 4] == b"PK\x01\x02"
        for offset, (layout, value) in fields.items():
            struct.pack_into(layout, raw, record + offset, value)
    path.write_bytes(raw)
    return path


CRC, PACKED, UNPACKED, START, FLAGS = 16, 20, 24, 42, 8


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({UNPACKED: ("<I", 2**31)}, "'archive/data/0' of two sizes, 12 and 2147483648"),
        ({PACKED: ("<I", 2**31), UNPACKED: ("<I", 2**31)}, "reaching into what follows|Overlapped"),
        ({FLAGS: ("<H", 1)}, "'archive/data/0' compressed or encrypted"),
        ({START: ("<I", 0)}, "'archive/data/0' not where the archive's directory puts it"),
        ({START: ("<I", 2**31)}, "'archive/data/0' not where the archive's directory puts it"),
        ({FLAGS: ("<H", 0x800), 46: ("B", 0xFF)}, "a zip archive that cannot be opened"),
    ],
)
def test_members_that_lie_are_refused(path, fields, found):
    refused(patched(zip_form(path, state(tensor())), {"archive/data/0": fields}), found)


def test_members_that_overlap_are_refused(path):
    inner = b"PK\x03\x04" + bytes(22) + struct.pack("<HH", 14, 0) + b"archive/data/1" + bytes(12)
    zip_form(path, state(tensor()), members=[("data/0", inner), ("data/1", bytes(12))])
    start = path.read_bytes().index(inner)
    patched(path, {"archive/data/1": {START: ("<I", start), CRC: ("<I", zlib.crc32(bytes(12)))}})
    refused(path, "'archive/data/0' reaching into what follows it")


def test_a_pickle_with_another_checksum_is_refused(path):
    patched(zip_form(path, state(tensor())), {"archive/data.pkl": {CRC: ("<I", 7)}})
    refused(path, "bytes of the pickle with the checksum [0-9a-f]{8} in place of 00000007")


def test_archives_that_are_no_checkpoint_are_named(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "")
    refused(path, "a zip archive with 0 data.pkl in place of 1; unpack it")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", "")
        archive.writestr("b/data.pkl", "")
    refused(path, "a zip archive with 2 data.pkl in place of 1; unpack it")
    refused(zip_form(path, state(tensor()), members=[("data/0", bytes(12)), ("../up", b"")]), r"the members '\.\./up'")


def test_the_preamble_of_the_older_form_is_checked(path):
    older_form(path, state(tensor()))
    whole = path.read_bytes()
    path.write_bytes(b"\x80\x02K\x07." * 3 + bytes(60))
    refused(path, "found another pickle; convert it")
    path.write_bytes(whole.replace(PROTOCOL, b"\x80\x02M\xea\x03."))
    refused(path, "a preamble of another protocol than 1001")
    path.write_bytes(whole.replace(SYSTEM, b"\x80\x02N."))
    refused(path, "a preamble of another protocol than 1001")


KEYS = b"\x80\x02]" + text("0") + b"a."
COUNT = struct.pack("<q", 3)


@pytest.mark.parametrize(
    ("tail", "found"),
    [
        (b"\x80\x02N." + COUNT + bytes(12), "a list of storages that names others"),
        (KEYS.replace(b"0a", b"1a") + COUNT + bytes(12), "a list of storages that names others"),
        (KEYS.replace(text("0"), b"]") + COUNT + bytes(12), "a list of storages that names others"),
        (b"\x80\x02].", r"\d+ bytes where the last storage ends at \d+|no bytes for storage '0'"),
        (b"\x80\x02]" + (text("0") + b"a") * 2 + b"." + (COUNT + bytes(12)) * 2, "storage '0' twice or with 3 numbers"),
        (KEYS + struct.pack("<q", 4) + bytes(16), "storage '0' twice or with 4 numbers in place of 3"),
        (KEYS + struct.pack("<q", -3) + bytes(12), "storage '0' twice or with -3 numbers in place of 3"),
        (KEYS + COUNT + bytes(11), r"\d+ bytes where storage '0' ends at \d+"),
        (KEYS + COUNT + bytes(13), r"\d+ bytes where the last storage ends at \d+"),
        (KEYS, "storage '0' twice or with 0 numbers in place of 3"),
        (b"", "the end after 0 of 1 bytes"),
    ],
)
def test_storages_of_the_older_form_that_lie_are_refused(path, tail, found):
    path.write_bytes(MAGIC + PROTOCOL + SYSTEM + state(tensor()) + tail)
    refused(path, found)
