#!/bin/sh
# The packaged English sentence encoder: four of the six layers of all-MiniLM-L6-v2, with the pieces that English of today uses, learn the sentence
# vectors of the whole, after LEAF; then the scores of STS-B's training split.
#   sh proofs/default.sh DATA TEACHERS OUT
# DATA holds sentences/ (lines under free licences), stsb/ (sts-train.csv is learned, sts-dev.csv measured on), and what english_probes.py reads;
# TEACHERS is a folder with all-MiniLM-L6-v2, as `make real` makes it. STEPS: of the first stage; by default those of the module that ships.
set -eu
data=$1 teachers=$2 out=$3
here=$(dirname "$0")
. "$here/stages.sh"
mkdir -p "$out"

[ -e "$out/texts.txt" ] || python "$here/sentences.py" "$data" en "$out/texts.txt"

# with pieces that occur 46 times it has less than 12 MB
stage "$out/start" trim -m "$teachers/all-MiniLM-L6-v2" --texts "$out/texts.txt" --min-count 46 --layers 0,2,4,5
# int8 keeps the teacher's score (0.8673 and 0.8672) and answers up to three times as fast.
stage "$out/teacher" quantise -m "$teachers/all-MiniLM-L6-v2"
stage "$out/student" distill "$out/texts.txt" -m "$out/teacher" --student "$out/start" --recipe default --no-split --limit 0 --clauses 0 \
    --max-steps "${STEPS:-6000}" --learning-rate 6e-4
# the module that ships was saved without the head of this task, and with zeros for weights below 1e-38, of which MiniLM has four
stage "$out/default" finetune similarity "$data/stsb/sts-train.csv" --format stsb --dev "$data/stsb/sts-dev.csv" -m "$out/student" --max-seq-length 256 \
    --per-device-train-batch-size 32 --num-train-epochs 3 --learning-rate 5e-5 --warmup-ratio 0.1 --ema-decay 0.99 --dtype int8

for module in start student default; do
    wellread evaluate stsb "$data/stsb/sts-dev.csv" -m "$out/$module"
done
python "$here/english_probes.py" "$data" "$out/student" "$out/default" "$teachers/all-MiniLM-L6-v2"
