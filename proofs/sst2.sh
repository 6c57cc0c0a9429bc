#!/bin/sh
# Well-Read Students (Turc et al. 2019, arXiv:1908.08962) on SST-2: what a student of 2 layers of 128 gains by pre-training, and by
# distillation before it is fine-tuned. The teacher is a fine-tuned all-MiniLM-L6-v2.
#   sh proofs/sst2.sh DATA TEACHER OUT
# DATA holds sst2/ (GLUE's files), wikitext2/ (plain text), english/movie_reviews.tsv; TEACHER is all-MiniLM-L6-v2.
set -eu
data=$1 minilm=$2 out=$3
tune="--format sst2 --dev $data/sst2/dev.tsv --max-seq-length 64"
small="--num-train-epochs 2 --learning-rate 3e-4"

wellread finetune classify "$data/sst2/train.tsv" $tune -m "$minilm" -o "$out/sst2-teacher" --num-train-epochs 1

# Students: pre-trained, with a vocabulary of their own; drawn at random in the same shape; distilled.
wellread pretrain "$data/english/movie_reviews.tsv" "$data/wikitext2/valid.txt" "$data/wikitext2/test.txt" \
    --shape L-2_H-128 --train-vocab wordpiece --lower-case --vocab-size 8000 -o "$out/sst2-pretrained" --max-seq-length 64 \
    --per-device-train-batch-size 64 --max-steps 8000 --learning-rate 1e-3 --warmup-ratio 0.05
python - "$out/sst2-pretrained" "$out/sst2-random" <<'PY'
import sys
import wellread
from wellread.learn.init import scratch
pretrained, place = wellread.load(sys.argv[1]), sys.argv[2]
scratch(pretrained.checkpoint.config, pretrained.tokenizer, seed=0, max_seq_length=64).save(place)
PY

# The transfer set: texts without labels, of the training split, and sentences and clauses of film reviews.
cut -f1 "$data/sst2/train.tsv" | tail -n +2 > "$out/sst2-transfer.txt"
wellread distill "$out/sst2-transfer.txt" "$data/english/movie_reviews.tsv" -m "$out/sst2-teacher" --recipe well-read \
    --student "$out/sst2-pretrained" -o "$out/sst2-distilled" --max-seq-length 64 --split --clauses 1.0

for start in random pretrained distilled; do
    wellread finetune classify "$data/sst2/train.tsv" $tune $small -m "$out/sst2-$start" -o "$out/sst2-$start-tuned"
done
wellread report "$out/sst2-random-tuned" "$out/sst2-pretrained-tuned" "$out/sst2-distilled-tuned" "$out/sst2-teacher" \
    --task classify --format sst2 --dev "$data/sst2/dev.tsv" -o "$out/sst2-report"
