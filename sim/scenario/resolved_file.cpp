// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/resolved_file.hpp"

#include <system_error>

#include "sim/scenario/data_folder.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

/// A path of the working directory as seen from a folder, which need not be there yet.
void see_from(const fs::path& folder, std::string& path) {
  std::error_code failed;
  if (path.empty() || fs::path(path).is_absolute()) {
    return;
  }
  const fs::path whole = fs::weakly_canonical(fs::absolute(path), failed);
  const fs::path from = fs::weakly_canonical(fs::absolute(folder), failed);
  path = failed ? fs::absolute(path).string() : whole.lexically_relative(from).string();
}

}  // namespace

std::string resolved_toml_in(const fs::path& folder, const Scenario& scenario) {
  if (folder.empty()) {
    return resolved_toml(scenario);
  }
  Scenario seen = scenario;
  const fs::path trace(scenario.routing.trace);
  if (trace.parent_path() != data_folder() / "traces") {  // else it goes by its name
    see_from(folder, seen.routing.trace);
  }
  see_from(folder, seen.placement.file);
  see_from(folder, seen.cluster.graphml);
  see_from(folder, seen.requests.path);
  return resolved_toml(seen);
}

std::vector<fs::path> data_files(const Scenario& scenario) {
  std::vector<fs::path> files;
  const bool experts = scenario.model.moe_layers > 0;
  if (experts && scenario.routing.source == RoutingOrigin::kTrace) {
    files.emplace_back(scenario.routing.trace);
  }
  if (experts && scenario.placement.kind == PlacementKind::kFile) {
    files.emplace_back(scenario.placement.file);
  }
  if (!scenario.cluster.graphml.empty()) {
    files.emplace_back(scenario.cluster.graphml);
  }
  if (!scenario.requests.path.empty()) {
    files.emplace_back(scenario.requests.path);
  }
  return files;
}

}  // namespace moesim
