"""Variables to tensors: laid out as ours, each accounted for, in bounded time whatever their names."""

import numpy as np
import pytest
from tiny import tiny_checkpoint, tiny_config

from wellread.checkpoints.checkpoint import in_memory
from wellread.checkpoints.tf_variables import TF1, TFHUB, TRAINING, leave_out, to_layout, to_ours
from wellread.errors import ConfigError, WeightsError, some

CONFIG = tiny_config()


def variables(naming, checkpoint):
    table = naming.table(CONFIG, mlm=True)
    return in_memory(
        {row.theirs: to_layout(row.layout, checkpoint.tensors[ours].read(), 4) for ours, row in table.items()}
    )


@pytest.mark.parametrize("naming", [TF1, TFHUB], ids=lambda naming: naming.name)
def test_variables_become_our_tensors(naming):
    checkpoint = tiny_checkpoint(CONFIG)
    made = to_ours(naming, CONFIG, variables(naming, checkpoint), mlm=True, source="x")
    assert made.keys() == checkpoint.tensors.keys()
    for name, tensor in made.items():
        assert tensor.shape == checkpoint.tensors[name].shape
        assert np.array_equal(tensor.read(), checkpoint.tensors[name].read())


def test_reasons_are_counted_by_pattern():
    found = in_memory(
        {name: np.zeros(1) for name in ("a/Adam", "a/Adam_1", "a", "global_step", "Adam", "b/global_step")}
    )
    variables, ignored = leave_out(found.items(), TRAINING, source="x")
    assert list(variables) == ["a", "Adam", "b/global_step"]
    assert ignored == {
        "*/Adam, */Adam_1": "2 variables: what an optimizer kept of each tensor",
        "global_step": "1 variables: how long it was trained",
    }


def test_two_of_one_name_are_refused_unless_they_are_left_out():
    (tensor,) = in_memory({"x": np.zeros(1)}).values()
    assert leave_out([("global_step", tensor)] * 2, TRAINING, source="x")[1].keys() == {"global_step"}
    with pytest.raises(WeightsError, match="the variables of x must bear distinct names; found y twice; export"):
        leave_out([("y", tensor)] * 2, TRAINING, source="x")


def test_faults_are_listed_and_counted_and_cut():
    strangers = in_memory({f"{i:03}{'x' * 1000}": np.zeros(1) for i in range(500)})
    with pytest.raises(WeightsError) as error:
        to_ours(TFHUB, CONFIG, strangers, mlm=False, source="x")
    message = str(error.value)
    assert message.startswith("the variables of x must be those of 3 layers of TF Hub's BERT; found that 000xxx")
    assert message.endswith("there are 535 more faults; fetch it again, or one of the BERT family")  # 500 + 55 - 20
    assert len(message) < 20 * 203 + 300


def test_sizes_that_cannot_be_meant_are_refused():
    found = variables(TFHUB, tiny_checkpoint(CONFIG))
    with pytest.raises(WeightsError, match="900 layers were asked of x; found 60 variables in all; correct the config"):
        to_ours(TFHUB, tiny_config(num_hidden_layers=900), found, mlm=False, source="x")
    with pytest.raises(
        ConfigError, match=f"the sizes of x must be below {2**31}; found type_vocab_size {2**31}; correct"
    ):
        to_ours(TFHUB, tiny_config(type_vocab_size=2**31), found, mlm=False, source="x")
    with pytest.raises(WeightsError, match="where the configuration says"):  # and not a fault of NumPy
        to_ours(TFHUB, tiny_config(vocab_size=2**31 - 1, intermediate_size=2**31 - 1), found, mlm=False, source="x")


def test_names_are_listed_and_cut():
    assert some(["x" * 200, "b"]) == "x" * 100 + ", b"
    assert some([str(i) for i in range(9)]) == "0, 1, 2, 3, 4 and 4 more"
