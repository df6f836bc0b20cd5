// SPDX-License-Identifier: Apache-2.0
// Where the kit meets the device, or the lack of one.
#include "gpu_ref/measure/measurement.hpp"

namespace moesim::measure {

RunnerResult measure(const MeasureOptions& options, const MeasureHooks& hooks) {
  const ProcessGroup group = process_group();
  OpenBench open = open_bench({.gpu = options.gpu,
                               .group = group,
                               .meeting_file = options.file + ".meeting-" + group.name});
  return run_sweep(cases_of(options, open.ranks, group.size),
                   *open.bench,
                   system_clock(),
                   {.file = options.file,
                    .budget_s = budget_of(options),
                    .fresh = options.fresh,
                    .version = hooks.version,
                    .commit = std::string(source_commit()),
                    .interrupted = hooks.interrupted,
                    .on_progress = hooks.on_progress,
                    .writes = group.rank == 0});
}

}  // namespace moesim::measure
