"""What the documents show, block by block; run as `python blocks.py WORLD JSON`, it prints what came out as JSON.

WORLD `tf_keras`: tensorflow-hub under tf_keras, which the documents were written for. WORLD `keras`: the same calls
under Keras 3, where `wellread.keras` stands in for tensorflow-hub. JSON names the blocks, and the handles to use.
"""

import json
import os
import sys

WORLD, REQUEST = sys.argv[1], json.loads(sys.argv[2])
if WORLD == "tf_keras":
    os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf  # noqa: E402
from huggingface_hub import snapshot_download  # noqa: E402

if WORLD == "tf_keras":
    import tensorflow_hub as hub
    import tensorflow_text  # noqa: F401 - registers the ops of preprocessors
else:
    import wellread.keras as hub

TEXTS = REQUEST["texts"]
SEQ_LENGTH, NUM_PREDICT, STEPS = 32, 4, 6


def numbers(tensor):
    return [[round(float(x), 7) for x in row[:4]] for row in tensor.numpy()]


def one_text(preprocessor, encoder):
    """Text in, vector out: documents 000 and 001, "Example Use"; 003 and 004, "Basic usage"."""
    text_input = tf.keras.layers.Input(shape=(), dtype=tf.string)
    encoder_inputs = hub.KerasLayer(preprocessor)(text_input)
    layer = hub.KerasLayer(encoder, trainable=True)
    outputs = layer(encoder_inputs)
    return used(text_input, outputs, layer)


def used(text_input, outputs, layer):
    """Print pooled outputs, as the documents do."""
    width = REQUEST["hidden_size"]
    assert tuple(outputs["pooled_output"].shape) == (None, width)
    assert tuple(outputs["sequence_output"].shape) == (None, 128, width)
    model = tf.keras.Model(text_input, outputs["pooled_output"])
    assert len(model.trainable_weights) == len(layer.trainable_weights) == REQUEST["trainable"]
    return numbers(model(tf.constant(TEXTS)))


def pairs(preprocessor, encoder):
    """Two segments: documents 000 and 001, "Build model for multi text inputs"."""
    loaded = hub.load(preprocessor)
    tokenize = hub.KerasLayer(loaded.tokenize)
    bert_pack_inputs = hub.KerasLayer(loaded.bert_pack_inputs)
    layer = hub.KerasLayer(encoder, trainable=True)
    text_inputs = [tf.keras.layers.Input(shape=(), dtype=tf.string), tf.keras.layers.Input(shape=(), dtype=tf.string)]
    tokenized_inputs = [tokenize(segment) for segment in text_inputs]
    outputs = layer(bert_pack_inputs(tokenized_inputs))
    assert len(outputs["encoder_outputs"]) == REQUEST["num_hidden_layers"]
    model = tf.keras.Model(text_inputs, outputs["pooled_output"])
    return numbers(model([tf.constant(TEXTS), tf.constant(TEXTS[::-1])]))


def in_a_dataset(preprocessor, encoder):
    """The preprocessor inside Dataset.map, the encoder in a model: documents 003 and 004, "Advanced topics"."""
    loaded = hub.load(preprocessor)

    def prepare(texts):
        return loaded.bert_pack_inputs([loaded.tokenize(texts)], seq_length=tf.constant(SEQ_LENGTH))

    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(len(TEXTS)).map(prepare)
    encoder_inputs = word_inputs()
    outputs = hub.KerasLayer(encoder, trainable=True)(encoder_inputs)
    assert tuple(outputs["sequence_output"].shape) == (None, SEQ_LENGTH, REQUEST["hidden_size"])
    model = tf.keras.Model(encoder_inputs, outputs)
    (batch,) = dataset
    made = model(batch)
    layers = made["encoder_outputs"]
    assert len(layers) == REQUEST["num_hidden_layers"]
    assert float(tf.reduce_max(tf.abs(layers[-1] - made["sequence_output"]))) == 0
    return numbers(layers[0][:, 0])


def word_inputs():
    names = ("input_word_ids", "input_mask", "input_type_ids")
    return {name: tf.keras.layers.Input(shape=(SEQ_LENGTH,), dtype=tf.int32, name=name) for name in names}


def masked_words(preprocessor, encoder):
    """The masked language model: documents 003 and 004. It trains for some steps, and its loss falls."""
    loaded = hub.load(encoder)
    positions = tf.keras.layers.Input(shape=(NUM_PREDICT,), dtype=tf.int32, name="masked_lm_positions")
    mlm_inputs = {**word_inputs(), "masked_lm_positions": positions}
    mlm = hub.KerasLayer(loaded.mlm, trainable=True)
    mlm_outputs = mlm(mlm_inputs)
    assert set(mlm_outputs) == {"pooled_output", "sequence_output", "encoder_outputs", "mlm_logits"}
    assert tuple(mlm_outputs["mlm_logits"].shape) == (None, NUM_PREDICT, REQUEST["vocab_size"])
    assert len(mlm.trainable_weights) == REQUEST["trainable"] + 5
    model = tf.keras.Model(mlm_inputs, mlm_outputs["mlm_logits"])
    batch, labels = masked_batch(hub.load(preprocessor))
    logits = numbers(model(batch)[:, 0])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=tf.keras.optimizers.Adam(1e-4), loss=loss)
    losses = model.fit(batch, labels, epochs=STEPS, batch_size=len(TEXTS), verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.1, losses
    return logits


def masked_batch(preprocessor):
    """Mask the first words of each text; their ids are the labels."""
    special = preprocessor.tokenize.get_special_tokens_dict()
    batch = preprocessor.bert_pack_inputs([preprocessor.tokenize(tf.constant(TEXTS))], seq_length=SEQ_LENGTH)
    ids = batch["input_word_ids"]
    positions = tf.tile(tf.range(1, NUM_PREDICT + 1)[None], [len(TEXTS), 1])
    hidden = tf.logical_and(tf.range(SEQ_LENGTH) >= 1, tf.range(SEQ_LENGTH) <= NUM_PREDICT)
    masked = tf.where(hidden[None], special["mask_id"], ids)
    return {**batch, "input_word_ids": masked, "masked_lm_positions": positions}, tf.gather(
        ids, positions, batch_dims=1
    )


def from_the_hub(preprocessor, encoder):
    """Document 004, "Using TF Hub and HF Hub": the snapshots of two repositories."""
    return one_text(snapshot_download(repo_id=preprocessor), snapshot_download(repo_id=encoder))


def pairs_from_the_hub(preprocessor, encoder):
    """Documents 000 and 001, "Build model for multi text inputs", with words cut into pieces."""
    return pairs(snapshot_download(repo_id=preprocessor), snapshot_download(repo_id=encoder))


def in_a_dataset_from_the_hub(preprocessor, encoder):
    """Document 004, "Advanced topics"."""
    return in_a_dataset(snapshot_download(repo_id=preprocessor), snapshot_download(repo_id=encoder))


def masked_words_from_the_hub(preprocessor, encoder):
    """Document 004, "Masked Language Model"."""
    return masked_words(snapshot_download(repo_id=preprocessor), snapshot_download(repo_id=encoder))


def pulled(preprocessor, encoder):
    """Document 004, "Using TF Hub fork": pull_from_hub gives the layers themselves."""
    text_input = tf.keras.layers.Input(shape=(), dtype=tf.string)
    encoder_inputs = hub.pull_from_hub(repo_id=preprocessor)(text_input)
    layer = hub.pull_from_hub(repo_id=encoder, trainable=True)
    return used(text_input, layer(encoder_inputs), layer)


def pulled_masked_words(preprocessor, encoder):
    """Document 004, "Masked Language Model": `.mlm` of what pull_from_hub gives."""
    mlm = hub.KerasLayer(hub.pull_from_hub(repo_id=encoder).mlm, trainable=True)
    positions = tf.keras.layers.Input(shape=(NUM_PREDICT,), dtype=tf.int32, name="masked_lm_positions")
    logits = mlm({**word_inputs(), "masked_lm_positions": positions})["mlm_logits"]
    assert tuple(logits.shape) == (None, NUM_PREDICT, REQUEST["vocab_size"])
    return len(mlm.trainable_weights)


if __name__ == "__main__":
    made = {name: globals()[name](REQUEST["preprocessor"], REQUEST["encoder"]) for name in REQUEST["blocks"]}
    print(json.dumps(made))
