#!/bin/sh
# Korean film reviews (NSMC), from nothing: encoders that are pre-trained on reviews without labels (ELECTRA), fine-tuned, and distilled from two
# that were fine-tuned, at two sizes, each beside one that skips a step; one after DistilBERT; and FastText.
#   sh proofs/nsmc.sh DATA OUT
# DATA holds nsmc/ (github.com/e9t/nsmc; unlabeled.txt.gz is a review a line, without those of dev.tsv) and kobert/ (the SentencePiece model and
# vocab.txt of SKTBrain/KoBERT). dev.tsv is scored and never learned. EPOCHS: of pre-training, 3 where it is not set. SHAPES: of the students, both
# where it is not set. TEACHER: a classifier of such reviews, in the place of the two that are trained here. MASKED: the shape of DistilBERT's teacher,
# L-4_H-256 where it is not set; STEPS: of its masked words, and of its student's, an epoch where it is not set.
set -eu
data=$1 out=$2
here=$(dirname "$0")
. "$here/stages.sh"
mkdir -p "$out"
reviews="$data/nsmc/unlabeled.txt.gz" # holds those of train.tsv too
shapes=${SHAPES:-L-4_H-256 L-2_H-128}

labels() { # MODULE, then what differs
    module=$1; shift
    stage "$module" finetune classify "$data/nsmc/train.tsv" --format nsmc --dev "$data/nsmc/dev.tsv" --max-seq-length 64 \
        --per-device-train-batch-size 64 --ema-decay 0.999 "$@"
}

pretrained() { # SHAPE
    rate=5e-4; [ "$1" = L-2_H-128 ] && rate=1e-3
    stage "$out/$1-pretrained" pretrain "$reviews" --objective electra --shape "$1" --vocab "$data/kobert" --max-seq-length 64 \
        --tokens-per-batch 4096 --warmup-ratio 0.05 --learning-rate $rate --num-train-epochs "${EPOCHS:-3}"
}

for shape in $shapes; do
    pretrained "$shape"
    # one step at no rate: a random start
    stage "$out/$shape-random" pretrain "$reviews" --shape "$shape" --vocab "$data/kobert" --max-seq-length 64 --max-steps 1 --learning-rate 1e-12
    labels "$out/$shape-fine-tuned" -m "$out/$shape-random" --num-train-epochs 3 --learning-rate 2e-4 --dtype int8
    labels "$out/$shape-pretrained-fine-tuned" -m "$out/$shape-pretrained" --num-train-epochs 3 --learning-rate 2e-4 --dtype int8
done

# The teachers: two seeds of the larger one.
teachers="-m ${TEACHER:-}"
if [ -z "${TEACHER:-}" ]; then
    pretrained L-4_H-256
    for seed in 1 2; do
        labels "$out/teacher-$seed" -m "$out/L-4_H-256-pretrained" --num-train-epochs 3 --learning-rate 2e-4 --seed $seed
    done
    teachers="-m $out/teacher-1 -m $out/teacher-2"
fi
for shape in $shapes; do
    # shellcheck disable=SC2086
    stage "$out/$shape-distilled" distill "$reviews" $teachers --recipe well-read --student "$out/$shape-pretrained" \
        --labelled "$data/nsmc/train.tsv" --format nsmc --hard-label-weight 0.3 --num-train-epochs 1 --per-device-train-batch-size 64 --max-seq-length 64 --dtype int8
done
# After DistilBERT: half of the layers of a teacher that knows masked words, then the labels.
stage "$out/masked" pretrain "$reviews" --shape "${MASKED:-L-4_H-256}" --vocab "$data/kobert" --max-seq-length 64 \
    --tokens-per-batch 4096 --warmup-ratio 0.05 --learning-rate 5e-4 --num-train-epochs 1 --max-steps "${STEPS:-0}"
stage "$out/distilbert" distill "$reviews" -m "$out/masked" --recipe distilbert --teacher-layers 0,2 --max-seq-length 64 --num-train-epochs 1 \
    --max-steps "${STEPS:-0}"
labels "$out/distilbert-fine-tuned" -m "$out/distilbert" --num-train-epochs 3 --learning-rate 2e-4 --dtype int8

wellread report "$out"/L-?_H-???-fine-tuned "$out"/L-?_H-???-pretrained-fine-tuned "$out"/L-?_H-???-distilled "$out/distilbert-fine-tuned" \
    --teacher "${TEACHER:-$out/teacher-1}" --task classify --format nsmc --dev "$data/nsmc/dev.tsv" \
    --train "$data/nsmc/train.tsv" --baseline fasttext --cited "$here/nsmc-published.toml" -o "$out/nsmc-report"
