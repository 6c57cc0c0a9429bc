#!/bin/sh
# The packaged classifier of Korean film reviews. A first one, three layers of multilingual-e5-small fine-tuned on NSMC, and three FastTexts judge
# reviews without labels together; the encoder of `default-ko` learns what they say, beside the reviews with labels.
#   sh proofs/default-ko-nsmc.sh DATA TEACHERS OUT
# DATA holds nsmc/ (github.com/e9t/nsmc; dev.tsv are the last 15,000 of its training rows, scored and never learned; unlabeled.txt.gz is a review a
# line, without those of dev.tsv); TEACHERS is a folder with multilingual-e5-small, as `make real` makes it. proofs/nsmc.sh is the way without it.
# STEPS: of 64 reviews, of the first classifier; 2,075 are an epoch. REVIEWS: how many without labels are learned from.
set -eu
data=$1 teachers=$2 out=$3
here=$(dirname "$0")
. "$here/stages.sh"
mkdir -p "$out"

stage "$out/start" trim -m "$teachers/multilingual-e5-small" --texts "$data/nsmc/unlabeled.txt.gz" --min-count 8 --layers 0,1,11
stage "$out/first" finetune classify "$data/nsmc/train.tsv" --format nsmc --dev "$data/nsmc/dev.tsv" -m "$out/start" --max-seq-length 96 \
    --per-device-train-batch-size 64 --num-train-epochs 2 --max-steps "${STEPS:-3300}" --learning-rate 1.5e-4 --warmup-ratio 0.06 --ema-decay 0.998

[ -e "$out/reviews.jsonl" ] || python "$here/nsmc_soft_labels.py" "$data" "$out/first" "${REVIEWS:-125000}" "$out/reviews.jsonl"
stage "$out/taught" finetune classify "$out/reviews.jsonl" --text document --label label -m default-ko --max-seq-length 96 \
    --per-device-train-batch-size 64 --num-train-epochs 1 --learning-rate 1.5e-4 --warmup-ratio 0.06 --ema-decay 0.998
stage "$out/default-ko-nsmc" trim -m "$out/taught" --texts "$data/nsmc/unlabeled.txt.gz" --min-count 20 --dtype int8

wellread report "$out/default-ko-nsmc" --task classify --format nsmc --dev "$data/nsmc/dev.tsv" \
    --train "$data/nsmc/train.tsv" --baseline fasttext --no-tune --cited "$here/nsmc-published.toml" -o "$out/report"
