// SPDX-License-Identifier: Apache-2.0
// Placements side by side: made on one window of a routing, judged on later ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/moe/placement.hpp"
#include "sim/step/migration.hpp"
#include "sim/step/placement_training.hpp"
#include "sim/step/replay.hpp"
#include "sim/step/verdict.hpp"

namespace moesim {

/// A placement that takes part. Whoever makes one, makes it from the training window alone, but for
/// hindsight.
struct Contender {
  std::string name;
  std::vector<Placement> placements;      ///< by MoE layer
  std::optional<double> bound_layer_s{};  ///< no placement with these slots has a faster mean layer
  std::optional<ReplicaRule> replicas{};  ///< none: the model's
  bool hindsight = false;  ///< made from the judged steps: shows what is left to gain
  bool is_searched = false;
};

struct StudyOptions {
  StepWindow train;       ///< what contenders were made from
  int steps = 0;          ///< judged, the ones after it
  int windows = 1;        ///< equal parts of those, to show drift; at most steps
  double horizon = 1000;  ///< steps that a placement is to last
  int move_steps = 1;     ///< steps that a migration beside the serving is spread over
};

/// One layer of a judged step.
struct JudgedLayer {
  int step = 0;
  LayerResult result;
};

/// One contender judged.
struct JudgedPlacement {
  std::string name;
  std::optional<double> bound_layer_s;
  ReplicaChoice replicas = ReplicaChoice::kEven;
  bool hindsight = false;
  bool is_searched = false;
  std::vector<double> step_s;           ///< by judged step
  std::vector<double> layer_s;          ///< [step][layer] makespans
  std::vector<double> rank_imbalance;   ///< [step][layer] max/mean assignments of a rank
  std::vector<double> scale_out_bytes;  ///< by step
  JudgedLayer slowest;                  ///< of the layers at that step, the longest
  int slots_per_rank = 0;
  int most_copies = 1;              ///< of an expert
  double expert_bytes = 0.0;        ///< of a rank: all its slots, all MoE layers of the model
  double replica_bytes = 0.0;       ///< of a rank, beyond the experts' own slots of the baseline
  double replica_tokens = 0.0;      ///< tokens whose keys and values would fit there
  int lost_experts = 0;             ///< most (layer, expert) pairs that one lost node takes along
  Migration migration;              ///< from the baseline
  Seconds pause;                    ///< stall when serving stops for it
  Seconds beside;                   ///< stall when it runs beside the serving
  std::vector<double> window_gain;  ///< share of the baseline's mean step saved, by window
  Verdict verdict;                  ///< with the smaller of the two stalls
  bool fits = true;  ///< the experts into a GPU's memory; if not, the verdict is to skip

  [[nodiscard]] Seconds stall() const { return pause < beside ? pause : beside; }
};

struct PlacementStudy {
  StudyOptions options;
  std::vector<JudgedPlacement> judged;  ///< the baseline first, then contenders in order
};

/// Judges the model's own placements, the baseline, and the contenders on the steps after the
/// training window, all with the same routing. Same result at any thread count (INV-6).
/// Throws Cancelled when control.cancelled is set. control.on_progress counts (placement, step)
/// pairs. Checked by: placement_study_test, against replay.
[[nodiscard]] PlacementStudy study_placements(const StepModel& model,
                                              const std::vector<Contender>& contenders,
                                              const StudyOptions& options,
                                              const ReplayControl& control);

/// Most (layer, expert) pairs without a slot left when one node is lost.
/// @param node_of_rank  by rank
[[nodiscard]] int experts_lost_with_a_node(const std::vector<Placement>& placements,
                                           const std::vector<int>& node_of_rank);

/// Node of each of the model's ranks.
[[nodiscard]] std::vector<int> node_of_rank(const StepModel& model);

}  // namespace moesim
