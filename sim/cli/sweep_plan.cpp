// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/sweep_plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "sim/cli/console.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {
namespace {

/// The keys that points differ in, and how each of them has them.
std::vector<std::pair<std::string, Scalar>> settings_of(const SweepChoice& point,
                                                        const std::vector<std::string>& keys) {
  std::vector<std::pair<std::string, Scalar>> settings;
  for (const std::string& key : keys) {
    for (const SweepSetting& setting : point) {
      if (setting.key == key) {
        settings.emplace_back(key, setting.value);
      }
    }
  }
  return settings;
}

std::vector<std::string> metrics_of(const StudyFile& study, const std::vector<SweepWork>& work) {
  if (!study.metrics.empty()) {
    return study.metrics;
  }
  StepKinds kinds;
  for (const SweepWork& one : work) {
    kinds.insert(one.scenario.step.kind);
  }
  return default_metrics(kinds);
}

}  // namespace

SweepPlan plan_sweep(const StudyFile& study,
                     PointSimulator& simulator,
                     const std::function<void(int, int)>& on_progress) {
  SweepPlan plan;
  plan.study.name = study.name;
  plan.study.keys = swept_keys(study.study);
  const std::vector<SweepChoice> points = expand(study.study);
  ParsedFiles files;
  std::set<std::string> known;
  for (const SweepChoice& point : points) {
    if (interrupted()) {
      throw Cancelled();
    }
    PointEntry& entry = plan.points.emplace_back();
    entry.settings = settings_of(point, plan.study.keys);
    try {
      Scenario scenario = load_point(study, point, files);
      entry.key = simulator.key(scenario);
      if (known.insert(entry.key).second) {
        plan.work.push_back({entry.key, std::move(scenario), plan.points.size() - 1});
      }
    } catch (const UserError& error) {
      entry.message = error.what();
      ++plan.refused;
    }
    on_progress(static_cast<int>(plan.points.size()), static_cast<int>(points.size()));
  }
  if (plan.work.empty()) {
    throw UserError(fmt::format("no point of the study \"{}\" can be loaded; the first:\n{}",
                                study.name,
                                plan.points.front().message));
  }
  plan.study.metrics = metrics_of(study, plan.work);
  return plan;
}

}  // namespace moesim::cli
