"""A run that was cut short goes on to the same bytes, and refuses to go on as another run."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus.test_embed import TEXTS, folder_bytes
from tiny import NATIVE, tiny_config, tiny_module

import wellread
from wellread.errors import DataError, WellreadError
from wellread.module import Module

RUN = (
    "import sys, wellread; wellread.embed_corpus({corpus!r}, {output!r}, module={module!r}, shard_rows=8, resume=True)"
)


@pytest.fixture
def module(tmp_path: Path) -> Module:
    return tiny_module(tmp_path / "tiny", config=tiny_config(**NATIVE), backend="native")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    pq.write_table(pa.table({"text": TEXTS, "id": list(range(len(TEXTS)))}), tmp_path / "c.parquet", row_group_size=10)
    return tmp_path / "c.parquet"


def embed(corpus: Path, output: Path, module: Module, **options: Any) -> wellread.EmbeddedCorpus:
    return wellread.embed_corpus(corpus, output, module=module, **{"column": "text", "shard_rows": 8, **options})


def test_shards_that_are_missing_cut_or_not_noted_are_made_again(tmp_path: Path, module: Module, corpus: Path) -> None:
    embed(corpus, tmp_path / "v", module)
    whole = folder_bytes(tmp_path / "v")
    assert len(whole) == 13
    (tmp_path / "v" / "part-000003.parquet").unlink()
    with (tmp_path / "v" / "part-000005.parquet").open("r+b") as file:
        file.truncate(100)
    notes = (tmp_path / "v" / "_shards.jsonl").read_text().splitlines()
    kept = [note for note in notes if json.loads(note)["number"] != 9]
    (tmp_path / "v" / "_shards.jsonl").write_text("\n".join([*kept[:-1], kept[-1][:20]]))  # the last line was cut
    done = embed(corpus, tmp_path / "v", module, resume=True)
    assert (done.rows, done.resumed) == (101, 101 - 3 * 8 - 5)
    assert folder_bytes(tmp_path / "v") == whole
    assert embed(corpus, tmp_path / "v", module, resume=True).resumed == 101


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shard_rows": 9}, r"go on with shard_rows 9; found that it began with 8"),
        ({"dtype": "float16"}, r'go on with dtype "float16"; found that it began with "float32"'),
        ({"prompt": "a "}, r"go on with settings .* began with"),
        ({"keep": ["id"]}, r"go on with columns"),
        ({}, r"a run was to begin in .*v; found one that is complete; pass resume=True"),
    ],
)
def test_another_run_is_refused(
    tmp_path: Path, module: Module, corpus: Path, changes: dict[str, Any], message: str
) -> None:
    embed(corpus, tmp_path / "v", module)
    before = folder_bytes(tmp_path / "v")
    with pytest.raises(DataError, match=message):
        embed(corpus, tmp_path / "v", module, resume=bool(changes), **changes)
    assert folder_bytes(tmp_path / "v") == before


@pytest.mark.parametrize(
    ("column", "changes", "message"),
    [("text", {"kind": "txt"}, 'kind "txt"'), ("document", {"format": "nsmc"}, 'data_format "nsmc"')],
)
def test_another_kind_or_format_of_the_same_files_is_refused(
    tmp_path: Path, module: Module, column: str, changes: dict[str, str], message: str
) -> None:
    rows = "".join(f"{row}\t{text}\t1\n" for row, text in enumerate(TEXTS))
    (tmp_path / "c.tsv").write_text(f"id\t{column}\tlabel\n{rows}")
    embed(tmp_path / "c.tsv", tmp_path / "v", module, column=column)
    before = folder_bytes(tmp_path / "v")
    with pytest.raises(DataError, match=f'go on with {message}; found that it began with ""; ask for the same'):
        embed(tmp_path / "c.tsv", tmp_path / "v", module, column=column, resume=True, **changes)
    assert folder_bytes(tmp_path / "v") == before
    assert embed(tmp_path / "c.tsv", tmp_path / "v", module, column=column, resume=True).resumed == 101


@pytest.mark.parametrize("output", ["v", "v.jsonl"])
def test_a_run_may_write_into_the_folder_that_it_reads(tmp_path: Path, module: Module, output: str) -> None:
    texts, place = tmp_path / "in", tmp_path / "in" / output
    texts.mkdir()
    for name, part in (("a.txt", TEXTS[:60]), ("w.txt", TEXTS[60:])):
        (texts / name).write_text("".join(f"{text}\n" for text in part))
    for overwrite in (False, True):
        assert embed(texts, place, module, overwrite=overwrite).rows == 101
    if output == "v":
        whole = folder_bytes(place)
        (place / "part-000003.parquet").unlink()
        done = embed(f"{texts}/**", place, module, resume=True)  # a pattern finds the same files
        assert (done.rows, done.resumed) == (101, 93)
        assert folder_bytes(place) == whole


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_read_is_not_written_over(tmp_path: Path, module: Module, corpus: Path, overwrite: bool) -> None:
    embed(corpus, tmp_path / "v", module)
    embed(corpus, tmp_path / "v.parquet", module)
    first = tmp_path / "v" / "part-000000.parquet"
    for inputs, output in [
        ([corpus, first], tmp_path / "v"),
        ([tmp_path / "v"], tmp_path / "v"),
        ([tmp_path / "v.parquet"], tmp_path / "v.parquet"),
    ]:
        with pytest.raises(DataError, match=r"texts were asked of .*; found that vectors are to be written there"):
            wellread.embed_corpus(inputs, output, module=module, column="text", overwrite=overwrite)
    assert pq.read_table(tmp_path / "v")["text"].to_pylist() == TEXTS


def test_a_run_goes_on_with_the_canary_that_it_began_with(
    tmp_path: Path, module: Module, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of wellread, or another machine, may make other texts or digits of it."""
    from wellread.corpus import embed as code

    embed(corpus, tmp_path / "v", module)
    whole = folder_bytes(tmp_path / "v")
    (tmp_path / "v" / "part-000003.parquet").unlink()
    monkeypatch.setattr(code, "canary_of", lambda *given, **options: '{"of": "another day"}')
    embed(corpus, tmp_path / "v", module, resume=True)
    assert folder_bytes(tmp_path / "v") == whole


def test_vectors_that_are_null_keep_their_reasons_when_the_run_goes_on_without_nulls(
    tmp_path: Path, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wellread.corpus import embed as code

    pq.write_table(pa.table({"text": ["a man", None, *TEXTS]}), tmp_path / "c.parquet")

    def fail(directory: Path, shard: Any) -> None:
        noted(directory, shard)
        raise KeyboardInterrupt

    noted = code.note_shard
    with monkeypatch.context() as patch:
        patch.setattr(code, "note_shard", fail)
        with pytest.raises(KeyboardInterrupt):
            embed(tmp_path / "c.parquet", tmp_path / "v.parquet", module, on_error="null")
    assert embed(tmp_path / "c.parquet", tmp_path / "v.parquet", module, resume=True).nulls == 1
    assert pq.read_table(tmp_path / "v.parquet")["error"].to_pylist() == [None, "null", *[None] * 101]


def test_another_module_other_files_and_another_version_are_refused(
    tmp_path: Path, module: Module, corpus: Path
) -> None:
    embed(corpus, tmp_path / "v", module)
    other = tiny_module(tmp_path / "other", config=tiny_config(**NATIVE), backend="native", seed=1)
    with pytest.raises(DataError, match=r"go on with fingerprint .*load the module that the run began with"):
        embed(corpus, tmp_path / "v", other, resume=True)
    os.utime(corpus, ns=(1, 1))
    with pytest.raises(DataError, match=r"go on with inputs .*the files have changed since"):
        embed(corpus, tmp_path / "v", module, resume=True)
    manifest = tmp_path / "v" / "_manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(DataError, match=r"of the format 1 was asked .* found 2; it is of another version"):
        embed(corpus, tmp_path / "v", module, resume=True)
    assert embed(corpus, tmp_path / "v", other, overwrite=True).resumed == 0


def test_a_folder_of_others_is_left_alone(tmp_path: Path, module: Module, corpus: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"found thesis.txt, of no run that is known there"):
        embed(corpus, tmp_path / "v", module, overwrite=True)
    (tmp_path / "v" / "thesis.txt").rename(tmp_path / "v" / "part-000000.parquet")
    with pytest.raises(DataError, match=r"found part-000000.parquet, of no run"):
        embed(corpus, tmp_path / "v", module)
    assert (tmp_path / "v" / "part-000000.parquet").read_text() == "years of work"


@pytest.mark.parametrize(
    "options",
    [
        {"column": "txet"},
        {"keep": ["none"]},
        {"prompt_name": "q"},
        {"dtype": "int4"},
        {"module": "/no/such"},
        {"keep": ["id"], "id_column": "embedding"},
    ],
)
def test_what_an_earlier_run_wrote_stays_until_the_new_one_is_known_to_make_sense(
    tmp_path: Path, module: Module, corpus: Path, options: dict[str, Any]
) -> None:
    embed(corpus, tmp_path / "v", module)
    before = {path.name: path.read_bytes() for path in (tmp_path / "v").iterdir()}
    with pytest.raises(WellreadError):
        wellread.embed_corpus(corpus, tmp_path / "v", overwrite=True, **{"module": module, "column": "text", **options})
    assert {path.name: path.read_bytes() for path in (tmp_path / "v").iterdir()} == before
    (tmp_path / "v" / ".part-000099.parquet.12345").touch()  # of a process that was killed
    assert embed(corpus, tmp_path / "v", module, shard_rows=60, overwrite=True).resumed == 0
    assert sorted(os.listdir(tmp_path / "v")) == [
        "_manifest.json",
        "_shards.jsonl",
        "part-000000.parquet",
        "part-000001.parquet",
    ]
    assert pq.read_table(tmp_path / "v")["text"].to_pylist() == TEXTS


def test_texts_of_standard_input_do_not_take_the_place_of_vectors(
    tmp_path: Path, module: Module, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(corpus, tmp_path / "v", module)
    before = folder_bytes(tmp_path / "v")

    def embed_lines(**options: Any) -> wellread.EmbeddedCorpus:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a man\nparis\n")))
        return wellread.embed_corpus("-", tmp_path / "v", module=module, **options)

    with pytest.raises(
        DataError, match=r"a run was to begin in .*; found one that is complete; pass resume=True .* or"
    ):
        embed_lines()
    assert folder_bytes(tmp_path / "v") == before
    assert embed_lines(overwrite=True).rows == 2
    with pytest.raises(DataError, match=r"found one that is complete; pass overwrite=True to begin anew"):
        embed_lines()  # with resume=True nothing can go on from standard input
    with pytest.raises(DataError, match=r"its texts come from standard input; put them in a file"):
        embed_lines(resume=True)


@pytest.mark.parametrize("name", ["v.parquet", "v.npy", "v.lance"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_single_file_gives_way_only_where_that_is_asked_for(
    tmp_path: Path, module: Module, corpus: Path, name: str, resume: bool
) -> None:
    if name == "v.lance":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("years of work")
    with pytest.raises(DataError, match=rf"vectors were to be written to .*{name}; found that it exists; .*overwrite="):
        embed(corpus, tmp_path / name, module, resume=resume)
    assert sorted(os.listdir(tmp_path)) == ["c.parquet", "tiny", name]
    assert (tmp_path / name).is_dir() or (tmp_path / name).read_text() == "years of work"
    if name == "v.lance":
        pytest.importorskip("lance")
    assert embed(corpus, tmp_path / name, module, overwrite=True).rows == 101


def test_who_is_killed_while_the_shards_of_a_file_are_removed_leaves_a_run_that_is_known(
    tmp_path: Path, module: Module, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(path: Path, **_: Any) -> None:
        """Remove what a folder may list first, and no more."""
        (path / "_manifest.json").unlink(missing_ok=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            embed(corpus, tmp_path / "v.parquet", module)
    with pytest.raises(DataError, match=r"v.parquet; found that it exists"):
        embed(corpus, tmp_path / "v.parquet", module, resume=True)
    assert not (tmp_path / ".v.parquet.parts").exists()


def test_two_runs_do_not_write_in_one_place(tmp_path: Path, module: Module, corpus: Path) -> None:
    from wellread.corpus.place import Place

    with Place.of(tmp_path / "v").locked():
        for _ in range(2):  # who is refused leaves the lock alone
            with pytest.raises(DataError, match=r"found that another process writes it"):
                embed(corpus, tmp_path / "v", module)
    assert embed(corpus, tmp_path / "v", module).rows == 101


def test_the_lock_of_who_comes_next_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    from wellread.corpus.place import Place

    release = FileLock.release

    def release_to_the_next(lock: FileLock) -> None:
        release(lock)
        Path(lock.lock_file).write_text("of the next")

    with monkeypatch.context() as patch, Place.of(tmp_path / "v").locked():
        patch.setattr(FileLock, "release", release_to_the_next)
    assert (tmp_path / "v" / ".lock").exists()


def test_a_run_that_was_killed_leaves_parts_of_a_single_file_to_go_on_from(
    tmp_path: Path, module: Module, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wellread.corpus import embed as code

    embed(corpus, tmp_path / "whole.parquet", module)
    noted = code.note_shard

    def fail(directory: Path, shard: Any) -> None:
        noted(directory, shard)
        if shard.number == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(code, "note_shard", fail)
    with pytest.raises(KeyboardInterrupt):
        embed(corpus, tmp_path / "v.parquet", module)
    assert not (tmp_path / "v.parquet").exists()
    monkeypatch.setattr(code, "note_shard", noted)
    with pytest.raises(DataError, match=r"found one that was cut short; pass resume=True"):
        embed(corpus, tmp_path / "v.parquet", module)
    assert embed(corpus, tmp_path / "v.parquet", module, resume=True).resumed == 56
    assert (tmp_path / "v.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not list(tmp_path.glob(".v.parquet*"))


@pytest.mark.parametrize("kills", [pytest.param(4, id="few"), pytest.param(100, id="hundred", marks=pytest.mark.slow)])
def test_a_run_that_is_killed_at_any_moment_ends_in_the_same_bytes(
    tmp_path: Path, module: Module, corpus: Path, kills: int
) -> None:
    module.save(tmp_path / "module")
    saved = wellread.load(tmp_path / "module", backend="native")
    rows = {"text": [text for text in TEXTS for _ in range(20)]}
    pq.write_table(pa.table(rows), corpus, row_group_size=100)
    embed(corpus, tmp_path / "whole", saved, column=None)
    output, draw, killed = tmp_path / "v", random.Random(0), 0
    code = RUN.format(corpus=str(corpus), output=str(output), module=str(tmp_path / "module"))
    while killed < kills:
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
        while process.poll() is None and not (output / "_manifest.json").exists():
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said.decode()
        killed += 1
        if process.returncode == 0:  # it was faster: half of it is taken away
            for path in sorted(output.glob("part-*"))[::2]:
                path.unlink()
    embed(corpus, output, saved, column=None, resume=True)
    assert folder_bytes(output) == folder_bytes(tmp_path / "whole")
    assert not list(output.glob(".part*"))


def test_a_full_disk_leaves_what_is_whole_and_the_run_goes_on(tmp_path: Path, module: Module) -> None:
    """The third shard holds a text that is larger than any file may be."""
    module.save(tmp_path / "module")
    texts = [*TEXTS[:20], random.Random(0).randbytes(100_000).hex(), *TEXTS[20:40]]
    pq.write_table(pa.table({"text": texts}), tmp_path / "c.parquet")
    code = RUN.format(corpus=str(tmp_path / "c.parquet"), output=str(tmp_path / "v"), module=str(tmp_path / "module"))
    limited = f"ulimit -f 64; exec {sys.executable} -c '{code.replace(chr(39), chr(34))}'"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=False)
    assert "DataError: results were to be written to" in done.stderr
    assert "found that File too large; make room, or choose another place" in done.stderr
    assert [*folder_bytes(tmp_path / "v")] == ["part-000000.parquet", "part-000001.parquet"]
    saved = wellread.load(tmp_path / "module", backend="native")
    assert embed(tmp_path / "c.parquet", tmp_path / "v", saved, column=None, resume=True).resumed == 16
    embed(tmp_path / "c.parquet", tmp_path / "whole", saved, column=None)
    assert folder_bytes(tmp_path / "v") == folder_bytes(tmp_path / "whole")


def test_a_place_that_cannot_be_written_to_is_named_before_any_work(module: Module, corpus: Path) -> None:
    with pytest.raises(DataError, match=r"results were to be written to /proc/vectors"):
        embed(corpus, Path("/proc/vectors"), module)
