// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/timeline_file.hpp"

#include <tbb/global_control.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "sim/cli/whole_run.hpp"
#include "sim/moe/traces/gzip.hpp"
#include "sim/report/serving_timeline.hpp"
#include "sim/report/train_timeline.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/step/train_trace.hpp"
#include "sim/step/whole_trace.hpp"

namespace moesim::cli {
namespace {

template <typename Step>
const Step& slowest_of(const std::vector<Step>& steps) {
  return *std::max_element(steps.begin(), steps.end(), [](const Step& a, const Step& b) {
    return a.makespan < b.makespan;
  });
}

TracedStep traced(std::string scenario, int step, const StepModel& model, StepTrace trace) {
  TracedStep result{.scenario = std::move(scenario),
                    .step = step,
                    .trace = std::move(trace),
                    .fabric = fabric_view(model.cluster),
                    .link_rates = {},
                    .link_names = {}};
  for (const BytesPerSecond rate : effective_capacities(model.cluster, model.constants)) {
    result.link_names.push_back(model.cluster.link_name(id_at<LinkId>(result.link_names.size())));
    result.link_rates.push_back(rate.value);
  }
  return result;
}

}  // namespace

TimelineInput TracedStep::input() const {
  return {.trace = trace,
          .fabric = fabric,
          .link_rates = link_rates,
          .link_names = link_names,
          .scenario = scenario,
          .step = step};
}

const StepResult& slowest_step(const RunReport& report) {
  return slowest_of(report.steps);
}

TracedStep trace_slowest(const Scenario& scenario, const RunReport& report) {
  const StepResult& slowest = slowest_step(report);
  const Assembly assembly = assemble(scenario);
  StepTrace trace = trace_step(assembly.step, slowest.step, slowest.makespan);
  return traced(report.scenario, slowest.step, assembly.step, std::move(trace));
}

TracedStep trace_slowest(const Scenario& scenario, const WholeReport& report) {
  const WholeStepResult& slowest = slowest_of(report.steps);
  Assembly assembly = assemble_whole(scenario);
  const WholeModel whole = whole_model(scenario, std::move(assembly.step));
  StepTrace trace = trace_whole_step(whole, slowest.step, slowest.makespan);
  return traced(report.scenario, slowest.step, whole.step, std::move(trace));
}

void write_train_timeline_file(const std::filesystem::path& file,
                               const Scenario& scenario,
                               const WholeReport& report,
                               const WholeControl& control) {
  std::optional<tbb::global_control> limit;
  if (control.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(control.threads));
  }
  const WholeStepResult& slowest = slowest_of(report.steps);
  Assembly assembly = assemble_whole(scenario);
  const WholeModel whole = whole_model(scenario, std::move(assembly.step));
  int done = 0;
  const auto on_pass = [&] {
    ++done;
    if (control.on_progress) {
      control.on_progress(done, num_passes(whole));
    }
  };
  const TrainTrace trace = trace_train_step(
      whole, slowest.step, slowest.makespan, {.cancelled = control.cancelled, .on_pass = on_pass});
  const FabricView fabric = fabric_view(whole.step.cluster);
  std::vector<double> rates;
  for (const BytesPerSecond rate : effective_capacities(whole.step.cluster, whole.step.constants)) {
    rates.push_back(rate.value);
  }
  traces::GzipFile out(file);
  write_train_timeline({.trace = trace,
                        .fabric = fabric,
                        .link_rates = rates,
                        .scenario = report.scenario,
                        .step = slowest.step},
                       [&](std::string_view text) { out.append(text); });
  out.commit();
}

void write_timeline_file(const std::filesystem::path& file, const TracedStep& traced) {
  traces::GzipFile out(file);
  write_timeline(traced.input(), [&](std::string_view text) { out.append(text); });
  out.commit();
}

void write_timeline_file(const std::filesystem::path& file, const ServingReport& report) {
  traces::GzipFile out(file);
  write_serving_timeline(report, [&](std::string_view text) { out.append(text); });
  out.commit();
}

}  // namespace moesim::cli
