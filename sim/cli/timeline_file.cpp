// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/timeline_file.hpp"

#include <algorithm>
#include <string_view>

#include "sim/moe/traces/gzip.hpp"
#include "sim/report/timeline.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/step/step_trace.hpp"

namespace moesim::cli {

void write_timeline_file(const std::filesystem::path& file,
                         const Scenario& scenario,
                         const RunReport& report) {
  const auto slowest = std::max_element(
      report.steps.begin(), report.steps.end(), [](const StepResult& a, const StepResult& b) {
        return a.makespan < b.makespan;
      });
  const Assembly assembly = assemble(scenario);
  const StepTrace trace = trace_step(assembly.step, slowest->step);
  traces::GzipFile out(file);
  write_timeline({.trace = trace,
                  .fabric = report.fabric,
                  .link_rates = report.link_rates,
                  .link_names = report.link_names,
                  .scenario = report.scenario,
                  .step = slowest->step},
                 [&](std::string_view text) { out.append(text); });
  out.commit();
}

}  // namespace moesim::cli
