#!/usr/bin/env bash
# The whole paper with one command: its 9,000 vector runs held against the published figures, calibrated points, the figure; with
# --llm its experiment on a language model, too (hours of a core; needs the extra `llm` and Φ, see docs/language_models.md).
# usage: experiments/paper/reproduce.sh [--llm PHI] [OUT]      OUT: runs/paper by default; given again, it goes on where it stopped
set -euo pipefail
phi=
if [ "${1:-}" = --llm ]; then
  phi=${2:?--llm needs the folder of a distilled Φ (crowd-sim data distill)}
  shift 2
fi
out=${1:-runs/paper}
data=${CROWD_SIM_DATA:-data}
[ -d "$data/ml-latest-small" ] || crowd-sim data movielens "$data"

crowd-sim sweep paper_sweep crowd.path="$data" --out "$out/vector"
python -m experiments.paper.compare_vector "$out/vector" | tee "$out/vector.md"
python -m experiments.paper.calibrated_table crowd.path="$data" | tee "$out/calibrated.md"

if [ -n "$phi" ]; then
  given=(task.phi.kind=distilled task.phi.model="$phi")
  crowd-sim sweep llm_sweep "${given[@]}" --out "$out/llm"
  crowd-sim sweep llm_sweep_halving "${given[@]}" --out "$out/llm-halving"
  python -m experiments.paper.llm_table "$out/llm" "$out/llm-halving" | tee "$out/llm.md"
  crowd-sim sweep llm_bad_worker "${given[@]}" --out "$out/bad"
fi
echo "$out: tables; figures and reports in the sweeps' folders"
