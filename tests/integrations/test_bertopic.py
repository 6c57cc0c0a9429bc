"""BERTopic takes the backend, and not MiniLM in its place."""

import numpy as np
from bertopic import BERTopic
from bertopic.backend._utils import select_backend
from bertopic.dimensionality import BaseDimensionalityReduction
from sklearn.cluster import KMeans

from wellread.integrations.bertopic import WellreadBackend

MUSIC = [f"A {who} is playing the {what}." for who in ("man", "woman", "child") for what in ("guitar", "flute", "drum")]
RAIN = [
    f"It {how} in {where} today." for how in ("rains", "snows", "is cloudy") for where in ("Bergen", "Oslo", "Turku")
]


def test_bertopic_takes_it_as_it_is(module):
    backend = WellreadBackend(module, prompt="the ")
    assert select_backend(backend) is backend
    np.testing.assert_array_equal(backend.embed_documents(["a cat"]), module.encode(["a cat"], prompt="the "))


def test_topics_are_those_of_the_texts():
    model = BERTopic(
        embedding_model=WellreadBackend("default"),
        umap_model=BaseDimensionalityReduction(),
        hdbscan_model=KMeans(2, random_state=0, n_init=1),
    )
    topics, _ = model.fit_transform(MUSIC + RAIN)
    assert len({*topics[:9]}) == len({*topics[9:]}) == 1
    assert topics[0] != topics[9]
    assert model.transform(["A boy is playing the piano."])[0][0] == topics[0]
