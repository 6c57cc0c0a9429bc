"""mteb evaluates the encoder, on a task of its own and on a real one whose rows are made up."""

import json

import mteb
import numpy as np
import pytest
from mteb.mocks.mock_tasks import MockRetrievalTask, MockSTSTask
from mteb.models.models_protocols import EncoderProtocol
from mteb.types import PromptType

from wellread.integrations.mteb import WellreadEncoder

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mteb"),
]
PAIRS = [
    ("A man is playing a guitar.", "A man plays the guitar.", 5.0),
    ("A man is playing a guitar.", "Someone plays an instrument.", 3.5),
    ("It rains in Bergen.", "A woman slices an onion.", 0.0),
]


def evaluate(encoder, task):
    return mteb.evaluate(encoder, task, cache=None, co2_tracker=False, show_progress_bar=False)


def test_it_is_an_encoder_of_mteb(module):
    encoder = WellreadEncoder(module, truncate_dim=5)
    assert isinstance(encoder, EncoderProtocol)
    meta = encoder.mteb_model_meta
    assert (meta.name, meta.revision) == ("wellread/(in memory)", module.fingerprint)
    assert (meta.embed_dim, meta.max_tokens, meta.use_instructions) == (5, 32, True)
    assert meta.similarity_fn_name.value == "cosine"


def test_prompts_are_chosen_as_mteb_names_them(module):
    encoder = WellreadEncoder(module, precision="f32")
    where = {"hf_split": "test", "hf_subset": "default"}
    batches = [{"text": ["a cat", "the man"]}, {"text": ["a flute"]}]
    texts = ["a cat", "the man", "a flute"]
    for metadata, kind, prompt in [
        (MockRetrievalTask.metadata, PromptType.query, "the man "),
        (MockRetrievalTask.metadata, PromptType.document, "a cat "),
        (MockSTSTask.metadata, None, "the flute "),
    ]:
        found = encoder.encode(batches, task_metadata=metadata, prompt_type=kind, batch_size=2, **where)
        np.testing.assert_array_equal(found, module.encode(texts, prompt=prompt, precision="f32"))


@pytest.mark.parametrize("task", [MockSTSTask, MockRetrievalTask])
def test_its_mock_tasks_run(task):
    result = evaluate(WellreadEncoder("default"), task())
    assert result.model_name == "wellread/default"
    assert 0 <= result.task_results[0].get_score() <= 1


def test_a_real_task_runs_on_local_rows(tmp_path):
    rows = [{"sentence1": a, "sentence2": b, "score": score} for a, b, score in PAIRS]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    task = mteb.get_task("STSBenchmark")
    task.metadata.dataset["path"] = str(tmp_path)
    encoder = WellreadEncoder("default")
    result = evaluate(encoder, task)
    assert result.model_revision == encoder.mteb_model_meta.revision
    assert result.task_results[0].get_score() == pytest.approx(1)
