"""Vectors of a request's texts, cut and scaled as it asks: what the routes of all protocols share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from wellread.backends.backend import FloatArray
from wellread.encode import postprocess
from wellread.serving.call import Call
from wellread.serving.faults import Fault
from wellread.serving.lanes import Vectors
from wellread.serving.served import Served


async def vectors_of(
    call: Call,
    served: Served,
    texts: Sequence[str] | Sequence[list[int]],
    *,
    prompt: str = "",
    whole: bool = False,
    dimensions: int | None = None,
    normalize: bool | None = None,
) -> FloatArray:
    """Return the vectors [N, E] of texts behind a prompt, or of rows of ids.

    They have length 1 by `normalize`; None: where the module does so by itself.

    Raises: Fault for dimensions that the vectors do not have, and for texts that are too long where they must be whole.
    """
    module = served.module
    width = module.embedding_size
    if dimensions is not None and not 1 <= dimensions <= width:
        raise Fault(f"dimensions must be 1 to {width}, those of {served.name}; found {dimensions}; choose one of these")
    call.will_answer(len(texts) * (dimensions or width))
    chars = sum(map(len, texts))
    read = await call.read(partial(served.read, texts, prompt=prompt, whole=whole), chars)
    lane = Vectors(name=served.name, prompt=prompt, module=module)
    rows = np.stack(await call.compute(lane, read.rows, read.sizes))
    if normalize is None:  # a part of a vector is scaled where the whole is
        normalize = dimensions is not None and module.checkpoint.sentence.normalize
    return postprocess(rows, truncate_dim=width if dimensions is None else dimensions, normalize=normalize)
