#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A sweep as a Slurm array, without MPI: slurm_array.sh STUDY PARTS [FOLDER]
# submits PARTS jobs, each with every PARTS-th scenario and a store of its own, and one job behind them
# that joins the stores in FOLDER/all.sqlite and runs what a failed job left out. FOLDER (default: the
# study's name) must be on a file system that all nodes see; $MOESIM is the program (default: moesim).
# With SLURM_ARRAY_TASK_ID set it is one of the jobs; sbatch calls it so.
set -eu
study=$1
parts=$2
folder=${3:-$(basename "$study" .toml)}
moesim=${MOESIM:-moesim}

if [ "${MOESIM_JOIN:-}" = 1 ]; then
  set --
  for store in "$folder"/part-*.sqlite; do
    set -- "$@" --from "$store"
  done
  exec "$moesim" sweep "$study" --store "$folder/all.sqlite" --out "$folder" --quiet "$@"
fi

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  exec "$moesim" sweep "$study" --store "$folder/part-$SLURM_ARRAY_TASK_ID.sqlite" \
    --part "$SLURM_ARRAY_TASK_ID/$parts" --threads "${SLURM_CPUS_PER_TASK:-1}" --quiet
fi

mkdir -p "$folder"
array=$(sbatch --parsable --array="0-$((parts - 1))" --job-name=moesim --output="$folder/part-%a.log" \
  "$0" "$study" "$parts" "$folder")
sbatch --dependency="afterany:$array" --job-name=moesim-join --output="$folder/join.log" \
  --export=ALL,MOESIM_JOIN=1 "$0" "$study" "$parts" "$folder"
