"""Write a small set of questions in SQuAD's form: made-up people, places and things; no name is in both parts.

python proofs/questions.py TRAIN HELD_OUT
"""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path
from random import Random

PEOPLE = ("Mira", "Tomas", "Hana", "Ivo", "Selma", "Jonas", "Petra", "Emil", "Noor", "Felix", "Ada", "Karim")
TOWNS = ("Lisbon", "Busan", "Oslo", "Quito", "Turin", "Cork", "Daegu", "Bergen", "Porto", "Kyoto", "Leeds", "Graz")
THINGS = ("a red kite", "an old map", "a brass lamp", "two oranges", "a wool coat", "a paper boat")
MORE_THINGS = ("a blue scarf", "a tin drum", "three pears", "a glass jar", "a silver spoon", "an oak chair")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
STORIES = (
    "{who} came to {town} by the early train on {day}. At the market by the river {who} bought {thing} from a woman "
    "who would take no money for it. In the evening it rained.",
    "It was cold in {town} that week. On {day} the shop near the station was open after all, and {who} found {thing} "
    "on the lowest shelf, behind the books.",
    "Nobody in {town} remembers the parade, but everyone remembers {who}. It happened on {day}: there, in the middle "
    "of the square, stood the visitor, holding {thing} above the crowd.",
)
QUESTIONS = {
    "who": ("Who is the story about?", "Which person had {thing}?"),
    "town": ("In which town did it happen?", "Where was {who}?"),
    "day": ("On which day was it?", "When was {who} there?"),
    "thing": ("What did {who} have?", "Which thing is the story about?"),
}


def paragraphs(people: tuple[str, ...], towns: tuple[str, ...], things: tuple[str, ...], *, rng: Random) -> list[dict]:
    """Tell every story about every person, and ask one question of each kind."""
    made = []
    for number, (who, story) in enumerate(product(people, STORIES)):
        facts = {"who": who, "town": rng.choice(towns), "day": rng.choice(DAYS), "thing": rng.choice(things)}
        context = story.format(**facts)
        asked = []
        for kind, forms in QUESTIONS.items():
            answer = {"text": facts[kind], "answer_start": context.index(facts[kind])}
            question = rng.choice(forms).format(**facts)
            asked.append({"id": f"{number}-{kind}", "question": question, "answers": [answer]})
        made.append({"context": context, "qas": asked})
    return made


def main(train: str, held_out: str) -> None:
    """Write the two parts."""
    rng = Random(0)
    parts = {train: (PEOPLE[:8], TOWNS[:8], THINGS), held_out: (PEOPLE[8:], TOWNS[8:], MORE_THINGS)}
    for path, names in parts.items():
        found = paragraphs(*names, rng=rng)
        Path(path).write_text(json.dumps({"data": [{"title": "stories", "paragraphs": found}]}, indent=1), "utf-8")
        print(f"{sum(len(p['qas']) for p in found)} questions in {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
