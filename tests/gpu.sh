#!/bin/sh
# Tries the path for NVIDIA cards and prints a table, in less than eight minutes: sh tests/gpu.sh [PHOTOS [MODEL]]
# Each part has a time limit, and the next one runs whatever became of the one before. The exit code is 0 where all went well.
# With PHOTOS a real tuning of MODEL (nano, or s60 where its weights are here) is made there and its stages are timed.
set -u
cd "$(dirname "$0")/.." || exit 1
photos=${1:-} model=${2:-nano} failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
table="$work/table"

note() { printf '%-34s %s\n' "$1" "$2" | tee -a "$table"; }

part() { # name, seconds, command …: runs it, and notes how it ended and after how long
    name=$1 limit=$2
    shift 2
    began=$(date +%s)
    timeout "$limit" "$@"
    code=$?
    [ "$code" -eq 0 ] || failed=1
    note "$name" "exit code $code after $(($(date +%s) - began)) s"
}

python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
    echo "there is no NVIDIA card here, or this PyTorch was built without CUDA" >&2
    exit 6
}
note "date" "$(date -u +%Y-%m-%d)"
note "commit" "$(git rev-parse --short HEAD 2>/dev/null || echo none)"
note "card, driver" "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -1)"
note "cards" "$(python -c 'import torch; print(torch.cuda.device_count())')"
note "torch, CUDA" "$(python -c 'import torch; print(torch.__version__, torch.version.cuda)')"

part "tests marked gpu" 200 python -m pytest -q -m gpu -p no:cacheprovider \
    tests/training/test_gpu.py tests/tensors/test_pixels.py tests/data/load/test_loaders.py
for size in 1 64; do
    part "bench s60, batch $size" 60 python -m pcn_cli bench --model s60 --device cuda --batch-size "$size" --rounds 5
done
if [ -n "$photos" ]; then
    part "tune $model" 140 python -m pcn_cli finetune "$photos" --model "$model" --tune all --epochs 5 \
        --device cuda --output "$work/run"
    python - "$work/run/run.json" <<'END' | tee -a "$table"
import json, sys
try:
    stages = json.load(open(sys.argv[1]))["stages"]
except OSError:
    sys.exit("  no run was made")
for name, stage in stages.items():
    print(f"{'  stage ' + name:<34} {stage['seconds']:.1f} s")
END
fi
echo
echo "== what tests/benchmarks/RESULTS.md needs, beside the tables of pcn bench above =="
cat "$table"
exit "$failed"
