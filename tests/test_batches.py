"""Whatever batches a backend is given, a text's numbers are the same, and rounded lengths make few shapes."""

import numpy as np
import pytest
from headed import headed_checkpoint
from near import exact
from tiny import tiny_module, tiny_tokenizer

from wellread.backends.backend import batching_of, load_backend
from wellread.config import SentenceConfig
from wellread.encode import Packer, encode_rows, encode_tokens, logits_of
from wellread.text.batch import Ragged
from wellread.text.plan import Batching

BATCHINGS = [Batching(tokens=64, multiple=16), Batching(tokens=4096, multiple=5), Batching(streams=1), Batching()]


def rows_of(count, longest):
    rng = np.random.default_rng(0)
    return Ragged.from_rows([rng.integers(5, 99, length) for length in rng.integers(0, longest, count)])


@pytest.fixture
def module(tmp_path):
    return tiny_module(tmp_path / "module", sentence=SentenceConfig(max_seq_length=32, include_prompt=False))


@pytest.mark.parametrize("batching", BATCHINGS, ids=str)
@pytest.mark.parametrize(("chunked", "skipped"), [(False, 0), (True, 0), (False, 3)])
def test_vectors(module, batching, chunked, skipped):
    packer = Packer(
        template=module.tokenizer.template, sentence=module.checkpoint.sentence, chunked=chunked, skipped=skipped
    )
    rows = rows_of(40, 50)  # some are cut: 32 tokens are the limit
    vectors = {}
    for name in ("openvino", "numpy"):
        backend = load_backend(name, module.checkpoint, precision=exact(name))
        if name == "openvino":
            backend.settle(batching)
        vectors[name], cut = encode_rows(backend, rows, packer, advance=lambda count: None)
        assert cut.tolist() == ([0] * 40 if chunked else np.maximum(rows.lengths - 30, 0).tolist())
    assert np.abs(vectors["openvino"] - vectors["numpy"]).max() < 1e-5


@pytest.mark.parametrize("batching", BATCHINGS, ids=str)
def test_states_of_tokens(module, batching):
    texts = ["a man is playing the guitar .", "", "a cat", "paris , france ! " * 20]
    packer = Packer(template=module.tokenizer.template, sentence=module.checkpoint.sentence)
    backend = load_backend("openvino", module.checkpoint, precision="f32")
    backend.settle(batching)
    states, cut = encode_tokens(texts, backend, module.tokenizer, packer)
    wanted, wanted_cut = encode_tokens(texts, load_backend("numpy", module.checkpoint), module.tokenizer, packer)
    assert [each.shape for each in states] == [each.shape for each in wanted]
    assert cut.tolist() == wanted_cut.tolist()
    assert all(np.abs(a - b).max() < 1e-4 for a, b in zip(states, wanted, strict=True))


@pytest.mark.parametrize("batching", BATCHINGS, ids=str)
def test_logits_of_pairs(tmp_path, batching):
    checkpoint, template = headed_checkpoint("pair"), tiny_tokenizer(tmp_path / "text").template
    packer = Packer(template=template, sentence=checkpoint.sentence, truncation="longest_first")
    segments = [rows_of(20, 30), Ragged.from_rows(list(rows_of(20, 25))[::-1])]
    backend = load_backend("openvino", checkpoint, precision="f32")
    backend.settle(batching)
    wanted = {
        int(row): logits
        for rows, values in logits_of(load_backend("numpy", checkpoint), segments, packer)
        for row, logits in zip(rows, values, strict=True)
    }
    seen = []
    for rows, values in logits_of(backend, segments, packer):
        seen += rows.tolist()
        assert np.abs(values - np.stack([wanted[row] for row in rows.tolist()])).max() < 1e-4
    assert sorted(seen) == list(range(20))


def test_rounded_lengths_reach_the_backend_as_few_shapes(module, monkeypatch):
    packer = Packer(template=module.tokenizer.template, sentence=module.checkpoint.sentence)
    rows = rows_of(400, 50)
    backend = load_backend("openvino", module.checkpoint)
    stream, shapes = backend.stream, []

    def watched(batches, output):
        def noted():
            for inputs in batches:
                shapes.append(inputs["input_mask"].shape)
                yield inputs

        return stream(noted(), output)

    monkeypatch.setattr(backend, "stream", watched)
    counts = {}
    for multiple in (1, 16):
        shapes.clear()
        backend.settle(Batching(tokens=256, multiple=multiple))
        encode_rows(backend, rows, packer, advance=lambda count: None)
        counts[multiple] = len(set(shapes))
        assert all(length % multiple == 0 and count * length <= 256 for count, length in shapes)
    assert counts[1] > 15
    assert counts[16] <= 3  # of two lengths, and what is left at the end


def test_bfloat16_is_what_rounding_is_for():
    assert batching_of("openvino", "bf16").multiple == 16
    assert {batching_of(name, "f32").multiple for name in ("openvino", "native", "numpy", "onnx")} == {1}
    assert batching_of("openvino", "exact").multiple == 1
