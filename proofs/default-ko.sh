#!/bin/sh
# The packaged Korean sentence encoder: four layers of multilingual-e5-small, its lowest and its highest, with the pieces that Korean uses, learn the
# sentence vectors of the whole, then the scores of KorSTS.
#   sh proofs/default-ko.sh DATA TEACHERS OUT
# DATA holds sentences/ and the other folders that proofs/sentences.py names, and kornlu/ (KorSTS: sts-train.tsv is learned, sts-dev.tsv measured on);
# TEACHERS is a folder with multilingual-e5-small, as `make real` makes it.
# TEXTS and STEPS: texts (0: all 407,189) and steps of 64 of them; what is set by default is what an hour of a slow core allows.
set -eu
data=$1 teachers=$2 out=$3
here=$(dirname "$0")
. "$here/stages.sh"
mkdir -p "$out"

[ -e "$out/texts.txt" ] || python "$here/sentences.py" "$data" ko "$out/texts.txt"

stage "$out/start" trim -m "$teachers/multilingual-e5-small" --texts "$out/texts.txt" --min-count 7 --layers 0,1,10,11
stage "$out/teacher" quantise "$teachers/multilingual-e5-small" "$out/texts.txt"
stage "$out/student" distill "$out/texts.txt" -m "$out/teacher" --prompts "query: " --student "$out/start" --recipe leaf --no-split --clauses 0 \
    --limit "${TEXTS:-40000}" --max-steps "${STEPS:-640}" --per-device-train-batch-size 64 --learning-rate 4e-4 --lr-scheduler-type cosine \
    --warmup-ratio 0.06 --max-seq-length 128
stage "$out/scored" finetune similarity "$data/kornlu/sts-train.tsv" --format korsts -m "$out/student" \
    --dev "$data/kornlu/sts-dev.tsv" --max-seq-length 128 --num-train-epochs 2 --learning-rate 5e-5 --ema-decay 0.99 --dtype int8
# without the rarest pieces it has less than 12 MB
stage "$out/default-ko" trim -m "$out/scored" --texts "$out/texts.txt" --min-count 16 --dtype int8

for module in start student scored default-ko; do
    wellread evaluate similarity "$data/kornlu/sts-dev.tsv" --format korsts -m "$out/$module"
done
