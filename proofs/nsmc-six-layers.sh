#!/bin/sh
# A larger classifier of Korean film reviews: six of the twelve layers of the teacher of `default-ko-nsmc` learn from the soft labels that were made
# for it. It does not ship.
#   sh proofs/nsmc-six-layers.sh DATA OUT
# DATA and OUT are those of proofs/default-ko-nsmc.sh, which runs first: OUT has its teacher and reviews.jsonl. MORE: steps after the epoch.
set -eu
data=$1 out=$2
here=$(dirname "$0")
. "$here/stages.sh"

stage "$out/six-start" trim -m "$out/teacher" --texts "$data/nsmc/unlabeled.txt.gz" --min-count 600 --layers 0,2,4,7,9,11
stage "$out/six-taught" finetune classify "$out/reviews.jsonl" --text document --label label -m "$out/six-start" --max-seq-length 96 \
    --per-device-train-batch-size 128 --num-train-epochs 1 --learning-rate 1.3e-4 --warmup-ratio 0.06 --ema-decay 0.997
stage "$out/six-layers" finetune classify "$out/reviews.jsonl" --text document --label label -m "$out/six-taught" --max-seq-length 96 \
    --per-device-train-batch-size 128 --num-train-epochs 1 --max-steps "${MORE:-1000}" --learning-rate 1e-4 --warmup-ratio 0.03 --ema-decay 0.997 \
    --seed 1 --dtype int8

wellread report "$out/six-layers" "$out/default-ko-nsmc" --teacher "$out/teacher" --task classify --format nsmc --dev "$data/nsmc/dev.tsv" \
    -o "$out/six-layers-report"
