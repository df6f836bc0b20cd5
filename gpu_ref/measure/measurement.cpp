// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/measurement.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

#include "gpu_ref/measure/estimate.hpp"
#include "gpu_ref/measure/mistake.hpp"

#ifndef MOESIM_SOURCE_COMMIT
#define MOESIM_SOURCE_COMMIT "unknown"
#endif

namespace moesim::measure {
namespace {

template <typename... Values>
std::string formatted(const char* form, Values... values) {
  std::array<char, 512> text{};
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): std alone, no fmt in the kit
  const int length = std::snprintf(text.data(), text.size(), form, values...);
  return {text.data(), std::min(static_cast<std::size_t>(std::max(length, 0)), text.size() - 1)};
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<int>(seconds);
  return whole < 60 ? formatted("%ds", whole) : formatted("%dm%02ds", whole / 60, whole % 60);
}

int variable(const std::function<std::string(const std::string&)>& environment,
             const std::string& name,
             int otherwise) {
  const std::string text = environment(name);
  if (text.empty()) {
    return otherwise;
  }
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    throw KitMistake("environment: " + name + " is no count: \"" + text + "\"");
  }
  return value;
}

}  // namespace

std::string list_text(const std::vector<Case>& cases) {
  struct Line {
    int cases = 0;
    double seconds = 0;
    double bytes = 0;
  };
  std::map<std::pair<int, std::string>, Line> lines;
  for (const Case& c : cases) {
    Line& line = lines[{c.tier, kind_of(c)}];
    ++line.cases;
    line.seconds += c.estimate_s;
    line.bytes = std::max(line.bytes, device_bytes(c.input));
  }
  std::string text = "tier  kind           cases  expected  most memory\n";
  for (const auto& [name, line] : lines) {
    text += formatted("%4d  %-13s %6d %7.1f s %9.2f GB\n",
                      name.first,
                      name.second.c_str(),
                      line.cases,
                      line.seconds,
                      line.bytes / 1e9);
  }
  return text +
         formatted("%zu cases, expected %s on one H200 (a roofline at half of its peak rates)\n",
                   cases.size(),
                   clock_text(total_seconds(cases)).c_str());
}

std::string progress_text(const Progress& progress) {
  return formatted("[%5d/%d] %s ",
                   progress.done,
                   progress.total,
                   clock_text(progress.elapsed_s).c_str()) +
         progress.key + ": " + progress.outcome;
}

std::string result_text(const RunnerResult& result, const MeasureOptions& options) {
  std::string text = formatted("%d cases measured, ", result.measured);
  if (result.already > 0) {
    text += formatted("%d were in the file before, ", result.already);
  }
  if (result.skipped > 0) {
    text += formatted("%d cannot run on this device (noted), ", result.skipped);
  }
  if (result.left_out > 0) {
    text += formatted("%d left out for lack of time (run again to go on), ", result.left_out);
  }
  if (result.interrupted) {
    text += "interrupted (run again to go on), ";
  }
  return text + "raw file: " + options.file + "\n";
}

ProcessGroup process_group(const std::function<std::string(const std::string&)>& environment) {
  ProcessGroup group;
  if (!environment("OMPI_COMM_WORLD_SIZE").empty()) {
    group.size = variable(environment, "OMPI_COMM_WORLD_SIZE", 1);
    group.rank = variable(environment, "OMPI_COMM_WORLD_RANK", 0);
    group.local_rank = variable(environment, "OMPI_COMM_WORLD_LOCAL_RANK", 0);
    group.name = environment("PMIX_NAMESPACE");
  } else if (!environment("SLURM_STEP_NUM_TASKS").empty()) {
    group.size = variable(environment, "SLURM_STEP_NUM_TASKS", 1);
    group.rank = variable(environment, "SLURM_PROCID", 0);
    group.local_rank = variable(environment, "SLURM_LOCALID", 0);
    group.name = environment("SLURM_JOB_ID") + "." + environment("SLURM_STEP_ID");
  }
  if (group.rank >= group.size) {
    throw KitMistake("environment: rank " + std::to_string(group.rank) + " of " +
                     std::to_string(group.size) + " processes");
  }
  if (group.size > 1 && group.name.empty()) {
    throw KitMistake(
        "environment: the launcher names no job (PMIX_NAMESPACE); use srun or OpenMPI");
  }
  return group;
}

ProcessGroup process_group() {
  return process_group([](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return std::string(value == nullptr ? "" : value);
  });
}

std::vector<Case> cases_of(const MeasureOptions& options, int ranks, int processes) {
  return make_sweep(
      {.full = options.full,
       .only = options.only,
       .trace = options.trace.empty() ? built_in_trace() : read_trace_loads(options.trace),
       .ranks = ranks,
       .processes = processes});
}

std::string_view source_commit() {
  return MOESIM_SOURCE_COMMIT;
}

}  // namespace moesim::measure
