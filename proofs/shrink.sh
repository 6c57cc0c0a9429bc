#!/bin/sh
# `wellread shrink` unattended, on labels in English (SST-2) and Korean (NSMC), and on tags (KLUE-NER).
#   sh proofs/shrink.sh DATA MINILM KOREAN OUT
# DATA holds sst2/ (GLUE's files), wikitext2/ (plain text), english/movie_reviews.tsv, nsmc/ and klue/; MINILM is all-MiniLM-L6-v2, KOREAN a classifier
# of such reviews, as proofs/default-ko-nsmc.sh makes its teacher. Each goes on where it was killed. BUDGET: the time of each, by default what one core
# with AMX had. DRY=1 prints the candidates and the time that each is expected to take, and trains nothing.
set -eu
data=$1 minilm=$2 korean=$3 out=$4
here=$(dirname "$0")
mkdir -p "$out"

shrink() {  # OUTPUT, then the command's arguments
    output=$1; shift
    resume=""
    [ -f "$output/shrink.json" ] && resume="--resume"
    [ -n "${DRY:-}" ] && resume="--dry-run"
    wellread shrink "$@" -o "$output" $resume
}

# English film reviews: MiniLM becomes the teacher, in the same command.
shrink "$out/shrink-sst2" classify "$data/english/movie_reviews.tsv" "$data/wikitext2/valid.txt" "$data/wikitext2/test.txt" \
    --train "$data/sst2/train.tsv" --dev "$data/sst2/dev.tsv" --format sst2 --model "$minilm" --split --max-seq-length 64 \
    --teacher-epochs 1 --max-size 10MB --budget "${BUDGET:-22m}" --candidates 3

# Korean film reviews, distilled on those without labels too.
shrink "$out/shrink-nsmc" classify "$data/nsmc/unlabeled.txt.gz" --train "$data/nsmc/train.tsv" --dev "$data/nsmc/dev.tsv" --format nsmc \
    --model "$korean" --max-seq-length 64 --per-device-train-batch-size 128 --max-size 10MB --budget "${BUDGET:-45m}" --candidates 3

# Korean entities: every fifth sentence of the development file is held out, as in proofs/tasks.sh; the teacher is fine-tuned in the same command.
python "$here/split.py" "$data/klue/klue-ner-v1.1_dev.tsv" "$out/ner-train.tsv" "$out/ner-dev.tsv"
shrink "$out/shrink-ner" tag --train "$out/ner-train.tsv" --dev "$out/ner-dev.tsv" --format klue-ner --model default-ko \
    --teacher-epochs 10 --teacher-learning-rate 3e-4 --finetune-epochs 20 --finetune-learning-rate 1e-3 --max-size 8MB --min-speed 300/s \
    --budget "${BUDGET:-22m}" --candidates 3

for task in sst2 nsmc ner; do
    [ -n "${DRY:-}" ] || cat "$out/shrink-$task/report.md"
done
