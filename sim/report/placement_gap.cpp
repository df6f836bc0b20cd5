// SPDX-License-Identifier: Apache-2.0
#include "sim/report/placement_gap.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "sim/report/table.hpp"
#include "sim/report/text_report.hpp"

namespace moesim {
namespace {

double mean_layer(const JudgedPlacement& judged) {
  return distribution_of(judged.layer_s).mean;
}

/// The mean layer of the first other one that `is_meant`, with as many slots.
template <typename IsMeant>
std::optional<double> mean_layer_of(const PlacementStudy& study,
                                    const JudgedPlacement& judged,
                                    const IsMeant& is_meant) {
  for (const JudgedPlacement& other : study.judged) {
    if (&other != &judged && other.slots_per_rank == judged.slots_per_rank && is_meant(other)) {
      return mean_layer(other);
    }
  }
  return std::nullopt;
}

std::string percent(double share) {
  return fmt::format("{} %", three_digits(100.0 * std::abs(share)));
}

}  // namespace

std::optional<PlacementGap> placement_gap(const PlacementStudy& study,
                                          const JudgedPlacement& judged) {
  if (!judged.bound_layer_s) {
    return std::nullopt;
  }
  const double bound = *judged.bound_layer_s;
  const double layer = mean_layer(judged);
  PlacementGap gap{.gap = layer / bound - 1.0,
                   .unknown_before = std::nullopt,
                   .open = layer / bound - 1.0,
                   .most_gain = 1.0 - bound / layer,
                   .gained = std::nullopt};
  if (judged.hindsight) {
    return gap;
  }
  const auto known = mean_layer_of(study, judged, [](const auto& j) { return j.hindsight; });
  if (known) {
    gap.unknown_before = std::max(0.0, layer - *known) / bound;
    gap.open = gap.gap - *gap.unknown_before;
  }
  const auto eplb = mean_layer_of(study, judged, [](const auto& j) { return j.name == "eplb"; });
  if (eplb && judged.name != "eplb") {
    gap.gained = 1.0 - layer / *eplb;
  }
  return gap;
}

std::string gap_text(const JudgedPlacement& judged, const PlacementGap& gap) {
  std::string text = fmt::format("{}: ", judged.name);
  if (gap.gained) {
    text += fmt::format(
        "{} {} than eplb; ", percent(*gap.gained), *gap.gained < 0.0 ? "slower" : "faster");
  }
  text += fmt::format("no placement with as many slots saves more than {} of its mean layer",
                      percent(gap.most_gain));
  return gap.unknown_before
             ? text + fmt::format(
                          "; of its gap, {} is what hindsight gains and the training steps "
                          "did not tell, {} is neither found nor ruled out",
                          percent(*gap.unknown_before),
                          percent(gap.open))
             : text + " (--placements ...,hindsight shows what training steps cannot tell of it)";
}

}  // namespace moesim
