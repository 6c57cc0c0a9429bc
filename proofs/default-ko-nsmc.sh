#!/bin/sh
# The packaged classifier of Korean film reviews. Multilingual-e5-small, fine-tuned on NSMC, and three FastTexts judge reviews without labels
# together; the encoder of `default-ko`, with the pieces that reviews use, learns what they say, beside the reviews with labels.
#   sh proofs/default-ko-nsmc.sh DATA TEACHERS OUT
# DATA holds nsmc/ (github.com/e9t/nsmc; dev.tsv are the last 15,000 of its training rows, scored and never learned; unlabeled.txt.gz is a review a
# line, without those of dev.tsv); TEACHERS is a folder with multilingual-e5-small, as `make real` makes it. proofs/nsmc.sh is the way without it.
# STEPS: of 128 reviews, of the teacher; 1,038 are an epoch. REVIEWS: how many without labels are learned from. STUDENT: where the student begins.
# MORE: steps of the student behind its epoch.
set -eu
data=$1 teachers=$2 out=$3
here=$(dirname "$0")
. "$here/stages.sh"
mkdir -p "$out"

stage "$out/start" trim -m "$teachers/multilingual-e5-small" --texts "$data/nsmc/unlabeled.txt.gz" --min-count 8
stage "$out/teacher" finetune classify "$data/nsmc/train.tsv" --format nsmc --dev "$data/nsmc/dev.tsv" -m "$out/start" --max-seq-length 96 \
    --per-device-train-batch-size 128 --num-train-epochs 2 --max-steps "${STEPS:-2076}" --learning-rate 1.3e-4 --warmup-ratio 0.06 --ema-decay 0.996

[ -e "$out/reviews.jsonl" ] || python "$here/nsmc_soft_labels.py" "$data" "$out/teacher" "${REVIEWS:-300000}" "$out/reviews.jsonl"
# before training, so that the student learns to do without the rarer pieces
stage "$out/student" trim -m "${STUDENT:-default-ko}" --texts "$data/nsmc/unlabeled.txt.gz" --min-count 1350
stage "$out/taught" finetune classify "$out/reviews.jsonl" --text document --label label -m "$out/student" --max-seq-length 96 \
    --per-device-train-batch-size 128 --num-train-epochs 1 --learning-rate 1.5e-4 --warmup-ratio 0.06 --ema-decay 0.997
stage "$out/default-ko-nsmc" finetune classify "$out/reviews.jsonl" --text document --label label -m "$out/taught" --max-seq-length 96 \
    --per-device-train-batch-size 128 --num-train-epochs 1 --max-steps "${MORE:-1500}" --learning-rate 1e-4 --warmup-ratio 0.03 --ema-decay 0.997 \
    --seed 1 --dtype int8

wellread report "$out/default-ko-nsmc" --teacher "$out/teacher" --task classify --format nsmc --dev "$data/nsmc/dev.tsv" \
    --train "$data/nsmc/train.tsv" --baseline fasttext --no-tune --cited "$here/nsmc-published.toml" -o "$out/report"
