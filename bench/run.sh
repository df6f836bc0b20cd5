#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench/run.sh BUILD_FOLDER: every benchmark, one after the other. Figures: bench/README.md.
set -eu
build=$1
"$build/bench/replay_bench"
echo
echo "uneven all-to-all (skew 0.5, whole tokens, one flow per pair); CPU seconds of the engine"
printf '%-9s %5s %-8s %14s %14s\n' fabric GPUs engine makespan_s engine_cpu_s
for fabric in star rail fat_tree; do
  for gpus in 16 32 64; do
    for engine in fluid simgrid bound; do
      "$build/moesim" network-bench --gpus $gpus --engine $engine --fabric $fabric --json |
        awk -F'[:,]' -v f=$fabric -v g=$gpus -v e=$engine '/"makespan_s"/ {m=$2} /"engine_cpu_s"/ {c=$2}
          END {printf "%-9s %5d %-8s %14.9f %14.6f\n", f, g, e, m, c}'
    done
  done
done
