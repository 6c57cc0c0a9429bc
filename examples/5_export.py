"""Save an encoder as a directory that transformers opens, and compare the two on the same sentences."""

from pathlib import Path
from tempfile import mkdtemp

import numpy as np

import wellread

SENTENCES = ["A man is playing a guitar.", "Trains to the coast leave every half hour."]

module = wellread.load("default").dequantise()  # it ships as int8, which transformers does not read
place = Path(mkdtemp()) / "exported"
module.save(place)  # config.json, model.safetensors, tokenizer.json, and wellread.json with every file's SHA-256
print(sorted(path.name for path in place.iterdir()))

try:
    import torch
    from transformers import AutoModel, AutoTokenizer
except ImportError:
    print("transformers is not installed: nothing to compare with")
else:
    inputs = AutoTokenizer.from_pretrained(place)(SENTENCES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        theirs = AutoModel.from_pretrained(place)(**inputs).last_hidden_state.numpy()
    ours = module(SENTENCES)["sequence_output"]
    real = inputs["attention_mask"].numpy().astype(bool)  # what stands at padding means nothing
    print(f"largest difference: {np.abs(ours - theirs)[real].max():.1e}")

# For TensorFlow, with a preprocessor of its own:  wellread export default --to tfhub -o encoder --preprocessor text
