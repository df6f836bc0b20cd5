// SPDX-License-Identifier: Apache-2.0
// The time of any step of an EP group, without simulating each: what a step computes in closed
// form, and a surface, sampled from whole steps, of what its layers take beside that.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "sim/step/serving/arrivals.hpp"
#include "sim/step/serving/batch.hpp"

namespace moesim {

using GroupLoads = std::vector<std::vector<AttentionLoad>>;  ///< by attention group

/// What the layers of a step compute beside gates and experts, if every group waited for the
/// slowest one in each: for groups g of T_g tokens and S_g sequences
///   layers * max_g attention(g) + dense layers * max_g FFN(T_g) + max_g head(S_g)
/// each divided by the speed of the group's slowest GPU. Keeps what depends on token counts alone.
class StepCompute {
 public:
  /// The model must outlive it.
  explicit StepCompute(const WholeModel& whole);
  [[nodiscard]] Seconds time(const GroupLoads& loads);

 private:
  using Kept = std::vector<double>;  ///< by tokens or sequences; negative: not known yet
  template <typename Make>
  static Seconds kept(Kept& table, std::int64_t n, const Make& make);
  Seconds attention(const std::vector<AttentionLoad>& loads, std::int64_t tokens);

  const WholeModel& whole_;
  ComputeModel compute_;
  ModelShape share_;  ///< of the heads that a rank has
  std::vector<double> speed_;
  int dense_layers_ = 0;
  Kept tokens_;
  Kept absorption_;
  Kept dense_;
  Kept head_;
};

/// step(loads) = compute(loads) + (1 - f) rest_decode(M, N / M) + f rest_prefill(M, N / M)
///
/// M: most tokens of an attention group, N: tokens of all, f: the part of N that is prefilled.
/// rest is sampled at M = 1, 2, 4, ... and N / M = 1, 2, 4, ... and the number of groups, by
/// simulating a whole step in which N / M groups, drawn for the point, bring M tokens each and the
/// others none, less compute() of the same; between the points it is bilinear in M and N / M, so
/// that any
/// a
/// + b M + c N is met exactly. rest_decode's tokens are one of many requests each, rest_prefill's
/// whole prompts one after the other; both from the requests of the run and their routing, a
/// point's draws named by (seed, point). A step simulates `surface_layers` MoE layers, evenly
/// spaced, for all of them. Points are simulated when a step first needs them. Source: ours. The
/// parts that bind a layer go with M (sender, gate, shared expert) and with N (receivers, experts).
/// Valid for: as far as the checked steps say, which each result prints. Left out: stragglers that
/// differ from layer to layer; which groups are busy. Checked by: step_surface_test.
class StepSurface {
 public:
  /// @param routes  null for a dense model    All references must outlive it.
  StepSurface(const WholeModel& whole,
              const RequestRoutes* routes,
              std::span<const Request> requests,
              int surface_layers,
              std::uint64_t seed);

  [[nodiscard]] Seconds time(const GroupLoads& loads);
  [[nodiscard]] int points() const { return static_cast<int>(rest_.size()); }

 private:
  struct Point {
    std::int64_t most = 0;  ///< M
    std::int64_t groups = 0;
    StepKind kind = StepKind::kDecode;
    auto operator<=>(const Point&) const = default;
  };
  struct Corner {
    Point point;
    double weight = 0;
  };

  void add_corners(double most, double groups, StepKind kind, double weight);
  void sample_missing();
  [[nodiscard]] Seconds sample(const Point& point) const;
  [[nodiscard]] Seconds rest_of(const WholeModel& part,
                                const RequestRoutes* routes,
                                const std::vector<int>& layers,
                                const ServedBatch& batch) const;
  [[nodiscard]] ServedBatch batch_of(const Point& point) const;

  const WholeModel& whole_;
  const RequestRoutes* routes_;
  std::span<const Request> requests_;
  std::uint64_t seed_;
  StepCompute compute_;
  std::int64_t num_groups_;
  std::vector<int> layers_;  ///< MoE layers that points simulate
  WholeModel moe_part_;      ///< of these layers alone; none in a dense model
  WholeModel dense_part_;    ///< of a few dense layers
  int dense_layers_ = 0;
  std::map<Point, double> rest_;  ///< seconds
  std::vector<Corner> corners_;   ///< of the step being timed
};

}  // namespace moesim
