"""wellread under Keras 3: layers for the TensorFlow, JAX and PyTorch backends. `import wellread.keras as hub`.

encoder = hub.KerasLayer("default", trainable=True)
pooled_output = encoder(inputs)["pooled_output"]
"""

from wellread.errors import require_extra

require_extra("keras", extra="keras")  # before the imports below, which would say less

from wellread.keras.encoder import Encoder, MaskedLM  # noqa: E402
from wellread.keras.layer import KerasLayer, load, pull_from_hub, push_to_hub  # noqa: E402
from wellread.keras.preprocessor import Preprocessor  # noqa: E402

__all__ = ["Encoder", "KerasLayer", "MaskedLM", "Preprocessor", "load", "pull_from_hub", "push_to_hub"]
