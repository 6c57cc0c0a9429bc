#!/bin/sh
# The packaged English sentence encoder: a student of 4 layers of 256 learns the sentence vectors of all-MiniLM-L6-v2, after LEAF.
#   sh proofs/default.sh DATA TEACHERS OUT
# DATA holds sentences/ (lines under free licences) and stsb/ (sts-dev.csv, which is measured on and not learned);
# TEACHERS is a folder with all-MiniLM-L6-v2, as `make real` makes it.
set -eu
data=$1 teachers=$2 out=$3
here=$(dirname "$0")
. "$here/stages.sh"
mkdir -p "$out"

[ -e "$out/texts.txt" ] || python "$here/sentences.py" "$data" en "$out/texts.txt"

# int8 keeps the teacher's score (0.8673 and 0.8672) and answers up to three times as fast.
stage "$out/teacher" quantise -m "$teachers/all-MiniLM-L6-v2"
stage "$out/default" distill "$out/texts.txt" -m "$out/teacher" --recipe default --no-split --limit 0 --clauses 0 --max-steps 7600 --dtype int8

wellread evaluate stsb "$data/stsb/sts-dev.csv" -m "$out/default"
