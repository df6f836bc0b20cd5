// SPDX-License-Identifier: Apache-2.0
// What would change a plan's choice, and what the choice rests on.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "sim/cli/console.hpp"
#include "sim/cli/plan_sensitivity.hpp"
#include "sim/cli/planner.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {
namespace {

/// The widest change of the choice by an input of physics, as a share of its value.
struct Widest {
  double share = 0;
  std::string knob;
};

Widest widest_swing(const PlanReport& report, double base) {
  Widest widest;
  for (const PlanSwing& swing : report.swings) {
    const double share = std::max(std::abs(swing.low / base - 1), std::abs(swing.high / base - 1));
    if (!is_price_knob(swing.knob) && share > widest.share) {
      widest = {share, swing.knob};
    }
  }
  return widest;
}

void weigh_alternative(const PlanResult& result, const Widest& widest, PlanReport& report) {
  const std::size_t mine = report.front.front();
  const std::size_t other = *report.alternative;
  if (result.scenario(mine).calibration.source != result.scenario(other).calibration.source) {
    report.evidence.emplace_back(
        "choice and alternative rest on constants of different sources, so a part of their "
        "difference may be one of sources");
  }
  const double gap = std::abs(value_of(report.rows[other].outcome.score, report.choose) /
                                  value_of(report.rows[mine].outcome.score, report.choose) -
                              1);
  if (widest.share > gap) {
    report.evidence.push_back(
        fmt::format("weak: the alternative is {:.1f} % behind, and {:.4g} % of {} move the choice "
                    "by {:.1f} %",
                    100 * gap,
                    100 * report.vary,
                    widest.knob,
                    100 * widest.share));
  }
}

void weigh_evidence(const PlanResult& result, PlanReport& report) {
  const std::size_t mine = report.front.front();
  const auto grade = [&](const char* which, std::size_t i) {
    report.evidence.push_back(fmt::format("{}: {} ({})",
                                          which,
                                          to_text(report.rows[i].grade),
                                          result.scenario(i).calibration.source));
  };
  const double base = value_of(report.rows[mine].outcome.score, report.choose);
  const Widest widest = widest_swing(report, base);
  grade("choice", mine);
  if (report.alternative) {
    grade("alternative", *report.alternative);
    weigh_alternative(result, widest, report);
  }
  const auto close = std::count_if(report.rows.begin(), report.rows.end(), [&](const PlanRow& r) {
    return r.refusal.empty() && r.outcome.state == PlanState::kFeasible &&
           std::abs(value_of(r.outcome.score, report.choose) / base - 1) <= widest.share;
  });
  if (close > 1) {
    report.evidence.push_back(
        fmt::format("{} simulated configurations, the choice among them, lie within that swing "
                    "({:.1f} %): their order is not certain",
                    close,
                    100 * widest.share));
  }
  if (report.rows[mine].money) {
    const PriceSpec& price = report.rows[mine].money->price;
    report.evidence.push_back(fmt::format("prices: {} ({})", to_text(price.basis), price.source));
  }
}

}  // namespace

void examine_choice(const PlanFile& plan,
                    const PlanResult& result,
                    bool quiet,
                    PlanReport& report) {
  const auto choice_of = [&](std::size_t i) {
    return PlanChoice{&result.scenario(i), result.runs[i].yield};
  };
  const std::size_t mine = report.front.front();
  Progress progress("sensitivity", !quiet);
  const SensitivityControl control{
      .cost = plan.search.cost,
      .objective = plan.search.choose,
      .vary = plan.search.vary,
      .cache = result.cache.get(),
      .on_progress = [&](int done, int total) { progress.update(done, total); }};
  try {
    report.swings = swings_of(choice_of(mine), control);
    if (report.alternative) {
      report.thresholds = thresholds_of(choice_of(mine), choice_of(*report.alternative), control);
    }
  } catch (const Cancelled&) {
    (void)take_interrupt();
    report.interrupted = true;
    return;
  }
  weigh_evidence(result, report);
}

}  // namespace moesim::cli
