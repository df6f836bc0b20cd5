// SPDX-License-Identifier: Apache-2.0
#include "sim/step/verdict.hpp"

#include <boost/math/distributions/students_t.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// Half width of the 95 % interval of the mean.
double half_width(std::span<const double> values, double mean) {
  const auto n = static_cast<double>(values.size());
  if (values.size() < 2) {
    return std::numeric_limits<double>::infinity();
  }
  double squares = 0.0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  const double deviation = std::sqrt(squares / (n - 1.0));
  const boost::math::students_t student(n - 1.0);
  return boost::math::quantile(student, 0.975) * deviation / std::sqrt(n);
}

VerdictKind kind_of(const Verdict& verdict) {
  if (verdict.gain_s - verdict.half_width_s > verdict.needed_s) {
    return VerdictKind::kTry;
  }
  return verdict.gain_s + verdict.half_width_s <= verdict.needed_s ? VerdictKind::kSkip
                                                                   : VerdictKind::kUnknown;
}

}  // namespace

Verdict judge_change(std::span<const double> before_s,
                     std::span<const double> after_s,
                     Seconds stall,
                     double horizon_steps) {
  MOESIM_CHECK(before_s.size() == after_s.size() && !before_s.empty(), "steps come in pairs");
  MOESIM_CHECK(horizon_steps > 0.0, "a horizon has steps");
  const auto n = static_cast<double>(before_s.size());
  std::vector<double> saved;
  Verdict verdict;
  for (std::size_t i = 0; i < before_s.size(); ++i) {
    saved.push_back(before_s[i] - after_s[i]);
    verdict.gain_s += saved.back() / n;
  }
  const bool same = std::all_of(saved.begin(), saved.end(), [](double s) { return s == 0.0; });
  verdict.half_width_s = same ? 0.0 : half_width(saved, verdict.gain_s);
  verdict.needed_s = stall.value / horizon_steps;
  verdict.kind = kind_of(verdict);
  if (verdict.gain_s > 0.0) {
    verdict.break_even_steps = stall.value / verdict.gain_s;
  }
  const double margin = std::abs(verdict.gain_s - verdict.needed_s);
  if (verdict.kind == VerdictKind::kUnknown && std::isfinite(verdict.half_width_s) &&
      margin > 0.0) {
    verdict.steps_to_settle = std::ceil(n * std::pow(verdict.half_width_s / margin, 2.0));
  }
  return verdict;
}

}  // namespace moesim
