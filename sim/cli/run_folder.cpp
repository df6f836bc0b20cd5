// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/run_folder.hpp"

#include <cstdint>
#include <optional>

#include "sim/cli/console.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/cli/timeline_file.hpp"
#include "sim/report/page.hpp"
#include "sim/report/timeline_counters.hpp"

namespace moesim::cli {

void write_run(const std::filesystem::path& folder,
               const Scenario& scenario,
               const RunReport& report,
               const RunFolder& what) {
  constexpr std::int64_t kMostFlows = 2'000'000;  // of a step simulated for the page alone
  std::optional<TracedStep> traced;
  std::optional<Counters> links;
  if (what.timeline || (has_page() && slowest_step(report).flows <= kMostFlows)) {
    Progress progress("links over time", !what.quiet);
    progress.stage("the slowest step once more");
    traced.emplace(trace_slowest(scenario, report));
    links = timeline_counters(traced->input());
  }
  write_results(
      folder, report, links ? &*links : nullptr, [&](const std::filesystem::path& hidden) {
        if (what.timeline) {
          write_timeline_file(hidden / "timeline.json.gz", *traced);
        }
      });
}

}  // namespace moesim::cli
