#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench/run.sh BUILD_FOLDER: every benchmark, one after the other. Figures: bench/README.md.
set -eu
build=$1
"$build/bench/replay_bench"
echo
"$build/bench/import_bench"
echo
sh "$(dirname "$0")/network.sh" "$build"
