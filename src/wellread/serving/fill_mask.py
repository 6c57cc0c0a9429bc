"""wellread's own route: guesses for the masked words of a text."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from starlette.responses import Response

from wellread.dataclass import dataclass
from wellread.serving.bodies import Schema, Texts
from wellread.serving.call import Call
from wellread.serving.lanes import Masks
from wellread.serving.memory import NUMBER
from wellread.serving.routes import Routes

routes = Routes("wellread")


TopK = Annotated[int, Schema(minimum=1, maximum=1000)]
TOP_K = 5  # guesses for a mask, where none are asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class FillMaskParameters:
    """What Hugging Face's clients send beside a text."""

    top_k: TopK = TOP_K


@dataclass(frozen=True, slots=True, kw_only=True)
class FillMaskBody:
    """A request of /fill-mask."""

    inputs: Texts
    top_k: TopK = TOP_K
    parameters: FillMaskParameters = FillMaskParameters()
    model: str | None = None


@routes.post("/fill-mask", body=FillMaskBody)
async def fill_mask(call: Call) -> Response:
    """Guess each mask of a text: for every mask the most probable tokens; of many texts a list of these."""
    body = await call.parse(FillMaskBody)
    texts = call.texts(body.inputs, name="inputs")
    served = call.served(body.model)
    read = await call.read(partial(served.read, texts), sum(map(len, texts)))
    top_k = body.parameters.top_k if body.top_k == TOP_K else body.top_k
    mask = served.module.tokenizer.special.mask
    word = None if mask is None else served.module.tokenizer.pieces([mask])[0]
    masks = [0 if word is None else min(text.count(word), size) for text, size in zip(texts, read.sizes, strict=True)]
    # a guess holds the whole sequence, of whose tokens each takes about as much as a number
    guessed = top_k * sum(count * (10 + size) for count, size in zip(masks, read.sizes, strict=True))
    call.will_answer(guessed, advice="send fewer texts, or a smaller top_k")
    call.share.take(NUMBER * sum(masks) * served.module.checkpoint.config.vocab_size)
    lane = Masks(name=served.name, top_k=top_k, module=served.module)
    rows = await call.compute(lane, texts, read.sizes)
    return call.answer(rows[0] if isinstance(body.inputs, str) else rows)
