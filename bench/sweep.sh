#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench/sweep.sh BUILD_FOLDER [THREADS [TOLERANCE]]: 240 configurations of one MoE layer of DeepSeek-V3 on
# 64 H200: tokens, dispatcher, NIC bandwidth, capacity, placement; exact, or with network.tolerance.
# Prints configurations a minute and, from processor time, a minute and core. Target: 1,000. Figures:
# bench/README.md.
set -eu
build=$1
threads=${2:-1}
tolerance=${3:-0}
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/sweep.toml" <<END
scenario = "$here/scenarios/studies/moe_layer.toml"
[set]
capacity.policy = "drop"
network.tolerance = $tolerance
[grid]
batch.tokens_per_rank = [64, 128, 256, 512]
dispatch.dispatcher = ["hierarchical", "low_latency"]
cluster.nic.bandwidth = ["25 GB/s", "50 GB/s", "100 GB/s"]
placement.kind = ["contiguous", "round_robin"]
capacity.factor = [1.0, 1.25, 1.5, 2.0, 4.0]
END
start=$(date +%s.%N)
"$build/moesim" sweep "$folder/sweep.toml" --store "$folder/s.sqlite" --threads "$threads" --quiet >/dev/null
end=$(date +%s.%N)
times > "$folder/times"  # its second line: user and system time of what ran, as 0m19.60s
awk -v s="$start" -v e="$end" 'NR == 2 {
  for (i = 1; i <= 2; ++i) { split($i, part, "m"); cpu += 60 * part[1] + part[2] + 0 }
  printf "240 points in %.1f s: %.0f a minute; %.1f s of processor time: %.0f a minute and core\n",
  e - s, 240 / (e - s) * 60, cpu, 240 / cpu * 60 }' "$folder/times"
