// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/any_run.hpp"

#include "sim/cli/console.hpp"
#include "sim/cli/serving_run.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/cli/whole_run.hpp"
#include "sim/report/json_report.hpp"
#include "sim/report/serving_report.hpp"
#include "sim/report/whole_report.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {

std::string json_of_run(const std::filesystem::path& file,
                        const Scenario& scenario,
                        int threads,
                        AssemblyCache* cache) {
  const SimulateControl control{
      .threads = threads, .on_step = {}, .without_faults = false, .cache = cache};
  switch (scenario.step.kind) {
    case StepKind::kMoeLayers:
      return to_json(simulate(file, scenario, control));
    case StepKind::kServing: {
      const ServingReport report =
          simulate_serving(file, scenario, {.threads = threads, .progress = false});
      if (interrupted()) {
        throw Cancelled();
      }
      return serving_json(report);
    }
    default:
      return whole_json(simulate_whole(file, scenario, control));
  }
}

}  // namespace moesim::cli
