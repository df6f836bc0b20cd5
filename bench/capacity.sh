#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench/capacity.sh BUILD_FOLDER PACK: 200 capacity points (drop and spill, scopes rank and global, 50
# factors) of one step of 26 MoE layers on 32 ranks. PACK: a pack of 64 experts, top-6 and 26
# layers, such as the ESFT recording imported as docs/traces.md shows. Figures: bench/README.md.
set -eu
build=$1
pack=$(cd "$2" && pwd)
scenario=$(mktemp --suffix=.toml)
trap 'rm -f "$scenario"' EXIT
cat > "$scenario" <<END
[model]
preset = "deepseek-v2-lite"
[cluster]
preset = "h200-hgx"
nodes = 4
[parallel]
ep = 32
[batch]
tokens_per_rank = 512
[routing]
trace = "$pack"
[dispatch]
dispatcher = "hierarchical"
END
time "$build/moesim" capacity "$scenario" --factors 1:3.45:0.05 --policies drop,spill \
  --scopes rank,global --quiet --threads 2 | head -2
