#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench/network.sh BUILD_FOLDER [SIMGRID_UP_TO]: our engine, SimGrid and the bound on the same uneven
# all-to-alls, one CSV row a run on standard output; bench/plot_network.py draws it. SimGrid runs up to
# SIMGRID_UP_TO GPUs (default 64: seconds; 128: about ten minutes in all; 0: not at all), aggregated
# traffic up to four times as many. Our engine: one thread, the least of 3 runs up to 512 GPUs.
set -eu
build=$1
simgrid_up_to=${2:-64}
echo 'case,gpus,engine,flows,parts,post_cpu_s,engine_cpu_s,engine_rss_bytes,makespan_s,bound_s'
row() { # case engine gpus options...
  name=$1 engine=$2 gpus=$3
  shift 3
  "$build/moesim" network-bench --gpus "$gpus" --engine "$engine" --threads 1 --json "$@" |
    awk -F'[:,]' -v c="$name" -v g="$gpus" -v e="$engine" '
      {gsub(/[ "]/, "", $1); v[$1] = $2; gsub(/ /, "", v[$1])}
      END {print c "," g "," e "," v["flows"] "," v["parts"] "," v["post_cpu_s"] "," v["engine_cpu_s"] "," \
           v["engine_rss_bytes"] "," v["makespan_s"] "," v["bound_s"]}'
}
one_case() { # case largest simgrid_largest options...
  name=$1 largest=$2 with_simgrid=$3
  shift 3
  for gpus in 16 32 64 128 256 512 1024 2048 4096; do
    if [ $gpus -le "$largest" ]; then
      repeat=3
      if [ $gpus -gt 512 ]; then repeat=1; fi
      row "$name" fluid $gpus --repeat $repeat "$@"
      if [ $gpus -le "$with_simgrid" ]; then row "$name" simgrid $gpus "$@"; fi
    fi
  done
}
s=$simgrid_up_to
one_case 'rail tok' 1024 "$s" --fabric rail
one_case 'star tok' 512 "$s" --fabric star
one_case 'fat tree tok' 512 "$s" --fabric fat_tree
one_case 'rail jit balanced' 256 "$s" --fabric rail --sizes jit --skew 0
one_case 'star jit balanced' 256 "$s" --fabric star --sizes jit --skew 0
one_case 'rail uni' 512 "$((2 * s))" --fabric rail --sizes uni
one_case 'aggregated tok' 1024 "$((4 * s))" --fabric rail --aggregated
one_case 'aggregated jit balanced' 512 "$((2 * s))" --fabric rail --aggregated --sizes jit --skew 0
one_case 'rail tok 3 us' 256 "$s" --fabric rail --latency 3
one_case 'rail tok staggered' 256 "$s" --fabric rail --stagger 0.5
one_case 'rail tok tolerance 0.1 %' 1024 0 --fabric rail --tolerance 0.001
one_case 'aggregated tok tolerance 0.2 %' 4096 0 --fabric rail --aggregated --tolerance 0.002
for gpus in 16 32 64 128 256 512 1024; do
  row 'star messages' message $gpus --fabric star
  row 'star tok' bound $gpus --fabric star
done
