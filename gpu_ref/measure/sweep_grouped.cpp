// SPDX-License-Identifier: Apache-2.0
// The grouped GEMMs of a sweep: model x projection x experts held x rows x skew x type x pass.
#include <algorithm>

#include "gpu_ref/measure/sweep_parts.hpp"

namespace moesim::measure {
namespace {

constexpr int kFullTier = 4;
constexpr std::int64_t kMostExpertsHeld = 64;
constexpr std::int64_t kMostRows = 32768;

/// What all cases of one loop share.
struct Grid {
  std::vector<Projection> projections;
  std::vector<std::int64_t> experts;
  std::vector<std::int64_t> rows;
  std::vector<std::string> skews;
  std::vector<ElementType> types;
  std::vector<Pass> passes = {Pass::kForward};
  L2State l2 = L2State::kCold;
  int tier = 0;
};

const std::vector<Projection> kBoth = {Projection::kGateUp, Projection::kDown};
const std::vector<ElementType> kBothTypes = {ElementType::kBf16, ElementType::kFp8};
const std::vector<Pass> kBackward = {Pass::kBackwardInput, Pass::kBackwardWeight};

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

void add_grid(std::vector<Case>& cases, const Grid& grid, const TraceLoads& trace) {
  for (const SweepModel& model : sweep_models()) {
    for (const std::int64_t wanted : grid.experts) {
      const std::int64_t experts = std::min(wanted, model.experts);
      for (const std::int64_t rows : grid.rows) {
        for (const std::string& skew : grid.skews) {
          const std::vector<std::int64_t> counts = counts_of_skew(skew, experts, rows, trace);
          for (const Projection projection : grid.projections) {
            GroupedInput load = shaped(model, projection);
            load.skew = skew;
            load.counts = counts;
            if (!counts.empty()) {
              add_load(cases, model, grid, load);
            }
          }
        }
      }
    }
  }
}

std::vector<std::int64_t> powers(std::int64_t first, std::int64_t last, std::int64_t factor) {
  std::vector<std::int64_t> values;
  for (std::int64_t value = first; value <= last; value *= factor) {
    values.push_back(value);
  }
  return values;
}

std::vector<std::string> trace_skews(const SweepOptions& options) {
  std::vector<std::string> names;
  for (std::size_t layer = 0; layer < options.trace.size(); ++layer) {
    names.push_back("trace-" + std::to_string(layer));
  }
  return names;
}

}  // namespace

void add_grouped_gemms(std::vector<Case>& cases, const SweepOptions& options) {
  const std::vector<std::string> kUniform = {"uniform"};
  const std::vector<std::string> drawn = {"lognormal0.5", "lognormal1", "lognormal1.5", "one_hot"};
  const std::vector<std::string> traced = trace_skews(options);
  std::vector<std::string> skewed = drawn;
  if (!traced.empty()) {
    skewed.push_back(traced.front());
  }
  const auto add = [&](const Grid& grid) { add_grid(cases, grid, options.trace); };
  add({.projections = kBoth,
       .experts = {8, 32},
       .rows = {64, 1024, 16384},
       .skews = kUniform,
       .types = kBothTypes,
       .tier = 1});
  add({.projections = {Projection::kGateUp},
       .experts = {8, 32},
       .rows = {512, 8192},
       .skews = skewed,
       .types = kBothTypes,
       .tier = 1});
  add({.projections = kBoth,
       .experts = powers(1, kMostExpertsHeld, 2),
       .rows = powers(1, kMostRows / 2, 4),
       .skews = kUniform,
       .types = kBothTypes,
       .tier = 2});
  add({.projections = {Projection::kGateUp},
       .experts = {4, 16, 64},
       .rows = {128, 2048, 32768},
       .skews = skewed,
       .types = kBothTypes,
       .tier = 2});
  add({.projections = kBoth,
       .experts = {1, 8, 32},
       .rows = {64, 1024, 16384},
       .skews = kUniform,
       .types = kBothTypes,
       .passes = kBackward,
       .tier = 3});
  add({.projections = {Projection::kGateUp},
       .experts = {8, 32},
       .rows = {1024, 8192},
       .skews = {"lognormal1"},
       .types = kBothTypes,
       .passes = kBackward,
       .tier = 3});
  add({.projections = {Projection::kGateUp},
       .experts = {8},
       .rows = {16, 256, 4096},
       .skews = kUniform,
       .types = kBothTypes,
       .l2 = L2State::kWarm,
       .tier = 3});
  if (options.full) {
    std::vector<std::string> all = drawn;
    all.insert(all.end(), traced.begin(), traced.end());
    all.insert(all.begin(), "uniform");
    add({.projections = kBoth,
         .experts = powers(1, kMostExpertsHeld, 2),
         .rows = powers(1, kMostRows, 2),
         .skews = all,
         .types = kBothTypes,
         .tier = kFullTier});
    add({.projections = kBoth,
         .experts = powers(1, kMostExpertsHeld, 4),
         .rows = powers(16, kMostRows, 2),
         .skews = {"uniform", "lognormal1"},
         .types = kBothTypes,
         .passes = kBackward,
         .tier = kFullTier});
  }
}

}  // namespace moesim::measure
