"""Distil a student of one layer from the default encoder, on plain sentences, and compare their vectors."""

from pathlib import Path
from tempfile import mkdtemp

import wellread

WHO = ("A man", "A woman", "The child", "An old sailor", "My neighbour", "The nurse", "Our cat", "A tall girl")
DOES = ("plays the guitar", "reads a book", "walks along the river", "sleeps", "bakes bread", "waits for the bus")
WHERE = ("in the garden", "at the station", "near the sea", "in an empty house", "every morning", "before lunch")
texts = [f"{who} {does} {where}." for who in WHO for does in DOES for where in WHERE]

place = Path(mkdtemp())
teacher = wellread.load("default")
config = wellread.DistillConfig(
    num_hidden_layers=1,
    hidden_size=64,
    num_attention_heads=2,
    max_seq_length=32,
    loop=wellread.LoopConfig(num_train_epochs=10, per_device_train_batch_size=32, learning_rate=3e-3),
)
student = wellread.distill(teacher, texts, output_dir=place / "run", config=config)
student.save(place / "student")

sentences = ["The nurse reads a book near the sea.", "My neighbour bakes bread before lunch."]
for sentence, ours, theirs in zip(sentences, student.encode(sentences), teacher.encode(sentences), strict=True):
    print(f"{student.similarity(ours, theirs)[0, 0]:.3f} of the teacher's vector: {sentence}")
print(f"{student.checkpoint.num_parameters:,} parameters instead of {teacher.checkpoint.num_parameters:,}")
