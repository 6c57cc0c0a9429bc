"""Score an encoder on people's judgements of similarity, with the interval in which the score lies."""

import wellread

PAIRS = [
    ("A man is playing a guitar.", "A man plays the guitar.", 5.0),
    ("A woman is slicing an onion.", "Someone is cutting an onion.", 4.2),
    ("Two dogs run along the beach.", "Two dogs are playing in the sand.", 3.4),
    ("A girl is riding a bicycle.", "A girl is riding a horse.", 2.0),
    ("The train is late again.", "The bus has not come yet.", 1.8),
    ("A chef prepares a fish.", "A boy is kicking a ball.", 0.4),
    ("It rained all night.", "The museum opens at ten.", 0.0),
    ("The child is asleep.", "The kid is sleeping.", 4.8),
]
rows = [{"first": first, "second": second, "score": score} for first, second, score in PAIRS]

module = wellread.load("default")
examples = wellread.take_examples(rows, text="first", pair="second", score="score")
found = wellread.evaluate(module, examples, task="similarity")

for name, score in found.scores.items():
    print(f"{name}: {score.value:.3f}, between {score.low:.3f} and {score.high:.3f} at 95 %")
# Files: wellread.read_examples(path, format="stsb"), or with columns by name: text="a", pair="b", score="c".
