"""Fine-tune the default encoder to tell complaints from praise, save it, load it again and ask it."""

from pathlib import Path
from tempfile import mkdtemp

import wellread

THINGS = ("room", "coffee", "concert", "keyboard", "ferry", "teacher", "bread", "garden", "phone", "hotel")
PRAISE = ("I loved the {}.", "The {} was wonderful!", "What a lovely {}, thank you.", "The best {} I have seen.")
COMPLAINTS = ("I hated the {}.", "The {} was terrible!", "What an awful {}, never again.", "The worst {} of all.")

rows = [
    {"text": form.format(thing), "label": label}
    for label, forms in (("praise", PRAISE), ("complaint", COMPLAINTS))
    for form in forms
    for thing in THINGS
]
held_out = [row for row in rows if "garden" in row["text"] or "ferry" in row["text"]]
training = [row for row in rows if row not in held_out]

place = Path(mkdtemp())
config = wellread.FinetuneConfig(
    max_seq_length=32, loop=wellread.LoopConfig(num_train_epochs=5, per_device_train_batch_size=16, learning_rate=1e-3)
)
tuned = wellread.finetune(
    wellread.load("default"),
    wellread.take_examples(training, text="text", label="label"),
    task="classify",
    output_dir=place / "run",  # log.jsonl, curves.png, checkpoints to resume from
    config=config,
)
tuned.save(place / "tuned")

again = wellread.load(place / "tuned")
right = 0
for row, said in zip(held_out, again.predict([row["text"] for row in held_out]), strict=True):
    right += said.label == row["label"]
    print(f"{said.label:<10} {said.score:.2f}  {row['text']}")
print(f"{right} of {len(held_out)} are right")
