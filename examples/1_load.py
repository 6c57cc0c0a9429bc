"""Load an encoder, turn sentences into vectors, and find the one that is nearest to a question."""

import wellread

SENTENCES = [
    "The museum opens at ten in the morning.",
    "Trains to the coast leave every half hour.",
    "The soup is made of carrots, ginger and a little cream.",
]

module = wellread.load("default")  # ships inside the package; any handle or directory goes here
vectors = module.encode(SENTENCES)  # float32 [3, 384]
question = module.encode("When does the train to the sea depart?")  # [384]

for score, sentence in sorted(zip(module.similarity(question, vectors)[0], SENTENCES, strict=True), reverse=True):
    print(f"{score:.3f}  {sentence}")

# The encoder underneath, with TF Hub's names: hidden states of every layer, and what is pooled of the last.
out = module(SENTENCES)
print("sequence_output", out["sequence_output"].shape)  # [texts, tokens, width]
print("layers", len(out["encoder_outputs"]), "pooled_output", out["pooled_output"].shape)
