#!/bin/sh
# Korean film reviews (NSMC): an encoder of 2 layers of 128, made from scratch, against FastText.
#   sh proofs/nsmc.sh DATA OUT
# DATA holds nsmc/ (github.com/e9t/nsmc; unlabeled.txt.gz is a review a line, without those of dev.tsv) and kobert/ (the
# SentencePiece model and vocab.txt of SKTBrain/KoBERT).
set -eu
data=$1 out=$2

wellread pretrain "$data/nsmc/unlabeled.txt.gz" --shape L-2_H-128 --vocab "$data/kobert" -o "$out/nsmc-pretrained" \
    --max-seq-length 64 --per-device-train-batch-size 64 --max-steps 6000 --learning-rate 1e-3 --warmup-ratio 0.05

wellread finetune classify "$data/nsmc/train.tsv" --format nsmc -m "$out/nsmc-pretrained" -o "$out/nsmc" \
    --dev "$data/nsmc/dev.tsv" --max-seq-length 64 --num-train-epochs 3 --learning-rate 3e-4

wellread report "$out/nsmc" --task classify --format nsmc --dev "$data/nsmc/dev.tsv" \
    --train "$data/nsmc/train.tsv" --baseline fasttext --cited "$(dirname "$0")/nsmc-published.toml" -o "$out/nsmc-report"
