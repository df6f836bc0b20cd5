// SPDX-License-Identifier: Apache-2.0
// The grouped GEMMs of a sweep: model x projection x experts held x rows x skew x type x pass.
#include <algorithm>

#include "gpu_ref/measure/sweep_parts.hpp"

namespace moesim::measure {
namespace {

constexpr std::int64_t kMostExpertsHeld = 64;
constexpr std::int64_t kMostRows = 32768;

/// What all cases of one loop share.
struct Grid {
  std::vector<Projection> projections{};
  std::vector<std::int64_t> experts{};
  std::vector<std::int64_t> rows{};
  std::vector<std::string> skews{};
  std::vector<ElementType> types{};
  std::vector<Pass> passes = {Pass::kForward};
  L2State l2 = L2State::kCold;
  int tier = 0;
};

std::vector<Projection> both() {
  return {Projection::kGateUp, Projection::kDown};
}
std::vector<ElementType> both_types() {
  return {ElementType::kBf16, ElementType::kFp8};
}
std::vector<Pass> backward() {
  return {Pass::kBackwardInput, Pass::kBackwardWeight};
}

/// Block scales need widths in multiples of 128; the fp8 layer has no backward pass.
bool runs(const SweepModel& model, ElementType type, Pass pass) {
  return type == ElementType::kBf16 ||
         (pass == Pass::kForward && model.hidden % 128 == 0 && model.width % 128 == 0);
}

GroupedInput shaped(const SweepModel& model, Projection projection) {
  const bool gate_up = projection == Projection::kGateUp;
  return {.model = model.name,
          .projection = projection,
          .columns = gate_up ? 2 * model.width : model.hidden,
          .inner = gate_up ? model.hidden : model.width};
}

/// Every type and pass of one load.
void add_load(std::vector<Case>& cases,
              const SweepModel& model,
              const Grid& grid,
              const GroupedInput& load) {
  for (const ElementType type : grid.types) {
    for (const Pass pass : grid.passes) {
      if (runs(model, type, pass)) {
        GroupedInput input = load;
        input.type = type;
        input.pass = pass;
        add_case(cases, input, grid.tier, grid.l2);
      }
    }
  }
}

/// Every projection of a load of one model.
void add_counts(std::vector<Case>& cases,
                const SweepModel& model,
                const Grid& grid,
                const std::string& skew,
                const std::vector<std::int64_t>& counts) {
  if (counts.empty()) {  // the trace has no such load
    return;
  }
  for (const Projection projection : grid.projections) {
    GroupedInput load = shaped(model, projection);
    load.skew = skew;
    load.counts = counts;
    add_load(cases, model, grid, load);
  }
}

void add_grid(std::vector<Case>& cases, const Grid& grid, const TraceLoads& trace) {
  for (const SweepModel& model : sweep_models()) {
    for (const std::int64_t wanted : grid.experts) {
      const std::int64_t experts = std::min(wanted, model.experts);
      for (const std::int64_t rows : grid.rows) {
        for (const std::string& skew : grid.skews) {
          add_counts(cases, model, grid, skew, counts_of_skew(skew, experts, rows, trace));
        }
      }
    }
  }
}

std::vector<std::string> trace_skews(const SweepOptions& options) {
  std::vector<std::string> names;
  for (std::size_t layer = 0; layer < options.trace.size(); ++layer) {
    names.push_back("trace-" + std::to_string(layer));
  }
  return names;
}

std::vector<std::string> drawn_skews() {
  return {"lognormal0.5", "lognormal1", "lognormal1.5", "one_hot"};
}

/// The forward grids of tiers 1 and 2.
void add_forward_grids(std::vector<Grid>& grids, const std::vector<std::string>& skewed) {
  grids.push_back({.projections = both(),
                   .experts = {8, 32},
                   .rows = {64, 1024, 16384},
                   .skews = {"uniform"},
                   .types = both_types(),
                   .tier = 1});
  grids.push_back({.projections = {Projection::kGateUp},
                   .experts = {8, 32},
                   .rows = {512, 8192},
                   .skews = skewed,
                   .types = both_types(),
                   .tier = 1});
  grids.push_back({.projections = both(),
                   .experts = powers(1, kMostExpertsHeld, 2),
                   .rows = powers(1, kMostRows / 2, 4),
                   .skews = {"uniform"},
                   .types = both_types(),
                   .tier = 2});
  grids.push_back({.projections = {Projection::kGateUp},
                   .experts = {4, 16, 64},
                   .rows = {128, 2048, 32768},
                   .skews = skewed,
                   .types = both_types(),
                   .tier = 2});
}

/// Backward passes and a warm L2: tier 3.
void add_other_grids(std::vector<Grid>& grids) {
  grids.push_back({.projections = both(),
                   .experts = {1, 8, 32},
                   .rows = {64, 1024, 16384},
                   .skews = {"uniform"},
                   .types = both_types(),
                   .passes = backward(),
                   .tier = 3});
  grids.push_back({.projections = {Projection::kGateUp},
                   .experts = {8, 32},
                   .rows = {1024, 8192},
                   .skews = {"lognormal1"},
                   .types = both_types(),
                   .passes = backward(),
                   .tier = 3});
  grids.push_back({.projections = {Projection::kGateUp},
                   .experts = {8},
                   .rows = {16, 256, 4096},
                   .skews = {"uniform"},
                   .types = both_types(),
                   .l2 = L2State::kWarm,
                   .tier = 3});
}

/// Every power of two and every skew: tier 4.
void add_full_grids(std::vector<Grid>& grids, const std::vector<std::string>& all) {
  grids.push_back({.projections = both(),
                   .experts = powers(1, kMostExpertsHeld, 2),
                   .rows = powers(1, kMostRows, 2),
                   .skews = all,
                   .types = both_types(),
                   .tier = kFullTier});
  grids.push_back({.projections = both(),
                   .experts = powers(1, kMostExpertsHeld, 4),
                   .rows = powers(16, kMostRows, 2),
                   .skews = {"uniform", "lognormal1"},
                   .types = both_types(),
                   .passes = backward(),
                   .tier = kFullTier});
}

}  // namespace

void add_grouped_gemms(std::vector<Case>& cases, const SweepOptions& options) {
  const std::vector<std::string> traced = trace_skews(options);
  std::vector<std::string> skewed = drawn_skews();
  if (!traced.empty()) {
    skewed.push_back(traced.front());
  }
  std::vector<Grid> grids;
  add_forward_grids(grids, skewed);
  add_other_grids(grids);
  if (options.full) {
    std::vector<std::string> all = drawn_skews();
    all.insert(all.begin(), "uniform");
    all.insert(all.end(), traced.begin(), traced.end());
    add_full_grids(grids, all);
  }
  for (const Grid& grid : grids) {
    add_grid(cases, grid, options.trace);
  }
}

}  // namespace moesim::measure
