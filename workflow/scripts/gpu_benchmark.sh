#!/usr/bin/env bash
# Measures the suite on one GPU in one call of at most ten minutes (or SECONDS):
# `workflow/scripts/gpu_benchmark.sh [FOLDER [SECONDS]]`.
#
# FOLDER (default: benchmarks/gpu) receives one JSON file per part, as pytest-benchmark writes it, each as soon as its
# part is done, so that a call cut short leaves what it has measured; device.txt says on what. The steps come first: the
# kernels that they compile are at hand for the whole cell. Kernels of Triton are measured once their tests have passed
# here, and in processes of their own, as one that reads where it must not ends all that follows it. Then
# `python tests/benchmarks/table.py FOLDER/all.json` writes the numbers into docs/performance.md.
#
# DIFFCLIP_BENCHMARKS=tiny tries the script itself, on a CPU too.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=${1:-benchmarks/gpu}
mkdir -p "$folder"
deadline=$((SECONDS + ${2:-580}))
# cuBLAS reads this when it starts; without it reruns on a GPU may differ.
export CUBLAS_WORKSPACE_CONFIG=${CUBLAS_WORKSPACE_CONFIG:-:4096:8}

if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader >"$folder/device.txt"
elif [ "${DIFFCLIP_BENCHMARKS:-}" = tiny ]; then
    echo "no GPU: a trial of the script" >"$folder/device.txt"
else
    echo "error: found no nvidia-smi, expected a GPU (DIFFCLIP_BENCHMARKS=tiny tries the script without one)" >&2
    exit 2
fi

within() { # within NAME SECONDS COMMAND...: runs it within the seconds and the deadline; says where it did not end well
    local name=$1 left=$((deadline - SECONDS)) limit=$2
    shift 2
    if [ "$left" -lt "$limit" ]; then limit=$left; fi
    if [ "$limit" -lt 15 ]; then
        echo "$name: left out, no time" | tee -a "$folder/left-out.txt"
        return 1
    fi
    if ! timeout "$limit" "$@" >"$folder/$name.log" 2>&1; then
        echo "$name: failed or cut short, see $folder/$name.log" | tee -a "$folder/left-out.txt"
        return 1
    fi
}

part() { # part NAME SECONDS EXPRESSION: measures what the expression picks
    within "$1" "$2" python -m pytest tests/benchmarks -q --benchmark-only --benchmark-warmup=off \
        --benchmark-json "$folder/$1.json" -k "$3" || true
}

rm -f "$folder"/left-out.txt "$folder"/*.json
part usual-steps 120 "a_step_of_stage and 10 and compiled and not triton"
part cell 170 "ten_seeds and not triton"
if within tests-of-kernels 90 python -m pytest -q tests/model/test_short_attention.py; then
    part kernels 45 "attending"
    part triton-steps 100 "a_step_of_stage and triton"
    part triton-cell 150 "ten_seeds and triton"
fi
part seeds 100 "a_step_of_stage and bf16 and not compiled"
part testing 60 "testing_1000 or gathering or limit"
part precisions 120 "a_step_of_stage and not bf16"
part one-seed 90 "a_step_of_stage and compiled and not 10"
part cells 90 "a_cell_of_six"

python - "$folder" <<'PYTHON'
"""Join the parts into all.json."""
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
parts = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if path.stat().st_size]
if not parts:
    sys.exit(f"error: nothing was measured, see {folder}/*.log")
whole = parts[0] | {"benchmarks": [one for part in parts for one in part["benchmarks"]]}
(folder / "all.json").write_text(json.dumps(whole, indent=1))
print(f"{len(whole['benchmarks'])} measurements: {folder / 'all.json'}")
PYTHON
