#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench/placement.sh BUILD_FOLDER DATA_SETS: EPLB and our search on steps that neither has seen, for each
# recording under DATA_SETS/routing and for generated routing; the table of docs/placement_search.md. EPLB
# with both choices of replicas that the search is given. Last, the time of a search of 58 layers at EP64 on
# two threads.
set -eu
moesim=$(cd "$1" && pwd)/moesim
data=$(cd "$2/routing" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MOESIM_DATA="${MOESIM_DATA:-$PWD/scenarios}"

pack() { # pack NAME INPUT [OPTION...]
  name=$1 input=$2
  shift 2
  "$moesim" trace import "$data/$input" "$work/$name" "$@" >/dev/null 2>&1
}

scenario() { # scenario NAME MODEL_KEYS NODES TOKENS STEPS ROUTING
  printf '[model]\n%s\n[cluster]\npreset = "h200-hgx"\nnodes = %s\n[parallel]\nep = %s\n[batch]\ntokens_per_rank = %s\nsteps = %s\n[routing]\n%s\n[dispatch]\ndispatcher = "hierarchical"\n[calibration]\npreset = "h100"\n' \
    "$2" "$3" $(($3 * 8)) "$4" "$5" "$6" >"$work/$1.toml"
}

recorded() { printf 'trace = "%s"\ndraw = "%s"' "$work/$1" "$2"; }

judge() { # judge NAME SLOTS TRAIN [OPTION...]
  name=$1 slots=$2 train=$3
  shift 3
  "$moesim" place "$work/$name.toml" --slots "$slots" --train "$train" --quiet "$@" 2>/dev/null |
    awk -v name="$name" '/^(baseline|eplb|optimised|hindsight) / && ++seen[$1] == 1 { print name, $0 }'
}

compare() { # compare NAME SLOTS TRAIN [OPTION...]
  judge "$@" --placements eplb,optimised,hindsight --choices even,nearest
  judge "$@" --placements eplb --no-bounds --set placement.replica_choice=nearest | sed -n 's/ eplb / eplb, nearest /p'
}

esft=deepseek-v2lite-esft-prefill gptoss=gpt-oss-20b-decode counts=olmoe-mixtral-counts/expert_counts.csv
pack esft $esft/topk.npy.gz --index "$data/$esft/index.csv" --experts 64
pack gptoss $gptoss/topk.npy.gz --index "$data/$gptoss/index.csv" --experts 32 --drop-duplicates
pack granite granite-1b-simllm/sglang_cpu_routing-trace.jsonl.gz
pack olmoe $counts --model olmoe --domain wikipedia --top-k 8
pack mixtral $counts --model mistral --domain wikipedia --top-k 2
pack smartmoe smartmoe-gpt-training/counts_every50.npy.gz --top-k 2 --phase training

# granite and SmartMoE have no preset: their layers get the sizes of gpt-oss-20b.
scenario esft 'preset = "deepseek-v2-lite"' 4 64 16 "$(recorded esft sequences)"
scenario gptoss 'preset = "gpt-oss-20b"' 2 32 48 "$(recorded gptoss tokens)"
scenario granite 'preset = "gpt-oss-20b"
name = "granite"
top_k = 8' 1 3 8 "$(recorded granite sequences)"
scenario olmoe 'preset = "olmoe-1b-7b"
layers = 3
moe_layers = 3' 2 1024 16 "$(recorded olmoe sequences)"
scenario mixtral 'preset = "mixtral-8x7b"
layers = 3
moe_layers = 3' 1 1024 16 "$(recorded mixtral sequences)"
scenario smartmoe 'preset = "gpt-oss-20b"
name = "smartmoe"
top_k = 2' 2 2048 16 "$(recorded smartmoe sequences)"
generated='source = "generated"
draw = "tokens"
[routing.generated]
kind = "log_normal"
popularity_sigma = 1.05'
scenario lognormal 'preset = "deepseek-v3"' 4 128 16 "$generated"
scenario ep64 'preset = "deepseek-v3"' 8 128 9 "$generated"

echo "set placement imbalance layer mean, P99; step mean, P99; NIC bytes; bound, gap"
compare esft 96 8
compare gptoss 48 16
compare olmoe 80 8
compare smartmoe 48 8 --set step.layers=6
compare mixtral 16 8
compare granite 40 4
compare lognormal 288 8 --set step.layers=8
echo "58 layers at EP64, 20,000 candidates a layer, 8 steps to learn from, 1 to judge, two threads:"
start=$(date +%s)
judge ep64 320 8 --placements optimised --no-bounds --threads 2
echo "$(($(date +%s) - start)) s in all, routing and judging included"
