#!/bin/sh
# The other tasks end to end: entities (KLUE-NER), pairs (RTE), spans (a small set of our own).
#   sh proofs/tasks.sh DATA KOREAN ENGLISH OUT
# DATA holds klue/ (klue-ner-v1.1_dev.tsv) and rte/ (GLUE's files); KOREAN is what proofs/nsmc.sh pre-trained, ENGLISH all-MiniLM-L6-v2.
set -eu
data=$1 korean=$2 english=$3 out=$4
here=$(dirname "$0")

python "$here/split.py" "$data/klue/klue-ner-v1.1_dev.tsv" "$out/ner-train.tsv" "$out/ner-dev.tsv"
wellread finetune tag "$out/ner-train.tsv" --format klue-ner -m "$korean" -o "$out/ner" --num-train-epochs 20 \
    --learning-rate 1e-3
wellread evaluate tag "$out/ner-dev.tsv" --format klue-ner -m "$out/ner"

wellread finetune pair "$data/rte/train.tsv" --format rte -m "$english" -o "$out/rte" --num-train-epochs 3 \
    --per-device-train-batch-size 16
wellread evaluate pair "$data/rte/dev.tsv" --format rte -m "$out/rte"

python "$here/questions.py" "$out/questions-train.json" "$out/questions-dev.json"
wellread finetune answer "$out/questions-train.json" --format squad -m "$english" -o "$out/spans" --num-train-epochs 20 \
    --per-device-train-batch-size 8 --learning-rate 1e-4
wellread evaluate answer "$out/questions-dev.json" --format squad -m "$out/spans"
