// SPDX-License-Identifier: Apache-2.0
#include "sim/step/placement_study.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <mutex>
#include <numeric>
#include <set>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/step/layer_work.hpp"

namespace moesim {
namespace {

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Counts the steps that all placements have behind them.
class Steps {
 public:
  Steps(const ReplayControl& control, int total) : control_(control), total_(total) {}

  [[nodiscard]] bool cancelled() const {
    return control_.cancelled != nullptr && control_.cancelled->load();
  }
  void done(int steps) {
    const std::scoped_lock lock(mutex_);
    done_ += steps;
    if (control_.on_progress) {
      control_.on_progress(done_, total_);
    }
  }

 private:
  const ReplayControl& control_;
  int total_;
  std::mutex mutex_;
  int done_ = 0;
};

/// What is kept of a simulated step.
struct Kept {
  StepResult result;  ///< without layers but the longest
  std::vector<double> layer_s;
  std::vector<double> rank_imbalance;
  double scale_out_bytes = 0.0;
};

Kept kept_of(StepResult result) {
  Kept kept;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const LayerResult& layer = result.layers[i];
    kept.layer_s.push_back(layer.makespan().to_seconds().value);
    kept.rank_imbalance.push_back(layer.rank_imbalance);
    kept.scale_out_bytes += static_cast<double>(layer.scale_out_bytes);
    longest = kept.layer_s[i] > kept.layer_s[longest] ? i : longest;
  }
  std::swap(result.layers.front(), result.layers[longest]);
  result.layers.resize(1);
  kept.result = std::move(result);
  return kept;
}

std::vector<Kept> simulate(const StepModel& model, const StudyOptions& options, Steps& progress) {
  const int first = options.train.first + options.train.steps;
  std::vector<Kept> steps(static_cast<std::size_t>(options.steps));
  tbb::parallel_for(0, options.steps, [&](int step) {
    if (!progress.cancelled()) {
      steps[static_cast<std::size_t>(step)] = kept_of(simulate_step(model, first + step));
      progress.done(1);
    }
  });
  if (progress.cancelled()) {
    throw Cancelled();
  }
  return steps;
}

void append(std::vector<double>& to, const std::vector<double>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

bool same_slots(const std::vector<Placement>& a, const std::vector<Placement>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](auto& one, auto& other) {
    return one.expert_of_slot == other.expert_of_slot;
  });
}

JudgedPlacement times_of(const StepModel& model, const StudyOptions& options, Steps& progress) {
  JudgedPlacement judged;
  double longest = -1.0;
  for (Kept& kept : simulate(model, options, progress)) {
    judged.step_s.push_back(kept.result.makespan.to_seconds().value);
    append(judged.layer_s, kept.layer_s);
    append(judged.rank_imbalance, kept.rank_imbalance);
    judged.scale_out_bytes.push_back(kept.scale_out_bytes);
    const double slowest = *std::max_element(kept.layer_s.begin(), kept.layer_s.end());
    if (slowest > longest) {
      longest = slowest;
      judged.slowest = {kept.result.step, std::move(kept.result.layers.front())};
    }
  }
  return judged;
}

void describe_slots(JudgedPlacement& judged, const StepModel& model, int baseline_slots) {
  int slots = 0;
  for (const Placement& placement : model.placements) {
    slots = std::max(slots, placement.slots_per_rank());
    for (int e = 0; e < placement.num_experts(); ++e) {
      const auto copies = static_cast<int>(placement.slots_of(ExpertId{e}).size());
      judged.most_copies = std::max(judged.most_copies, copies);
    }
  }
  judged.slots_per_rank = slots;
  judged.expert_bytes = slots * model.model.moe_layers * routed_expert_bytes(model.model).value;
  judged.fits = judged.expert_bytes <= model.cluster.gpu.memory.value;
  judged.replica_bytes =
      (slots - baseline_slots) * model.model.moe_layers * routed_expert_bytes(model.model).value;
  const double kv = kv_bytes_per_token(model.model).value;
  judged.replica_tokens = kv > 0.0 ? judged.replica_bytes / kv : 0.0;
  judged.lost_experts = experts_lost_with_a_node(model.placements, node_of_rank(model));
}

/// Mean share of the baseline's steps that is saved in each window.
std::vector<double> gains(std::span<const double> before,
                          std::span<const double> after,
                          int windows) {
  std::vector<double> gain;
  const std::size_t steps = before.size();
  const auto count = static_cast<std::size_t>(windows);
  for (std::size_t w = 0; w < count; ++w) {
    const std::size_t first = w * steps / count;
    const std::size_t length = (w + 1) * steps / count - first;
    gain.push_back(1.0 -
                   mean_of(after.subspan(first, length)) / mean_of(before.subspan(first, length)));
  }
  return gain;
}

/// The change from the baseline to `judged`.
void judge_move(JudgedPlacement& judged,
                const StepModel& baseline,
                const StepModel& model,
                const JudgedPlacement& before,
                const StudyOptions& options) {
  const Domains domains = make_domains(rank_places(model.cluster, model.ranks));
  judged.migration = plan_migration(
      baseline.placements, model.placements, domains, routed_expert_bytes(model.model));
  const int first = options.train.first + options.train.steps;
  judged.pause = pause_of(model, judged.migration);
  judged.beside = stall_beside(baseline, judged.migration, options.move_steps, first);
  judged.window_gain = gains(before.step_s, judged.step_s, options.windows);
  judged.verdict = judge_change(before.step_s, judged.step_s, judged.stall(), options.horizon);
  if (!judged.fits || judged.hindsight) {
    judged.verdict.kind = VerdictKind::kSkip;
  }
}

}  // namespace

PlacementStudy study_placements(const StepModel& model,
                                const std::vector<Contender>& contenders,
                                const StudyOptions& options,
                                const ReplayControl& control) {
  MOESIM_CHECK(options.steps > 0 && options.windows > 0 && options.windows <= options.steps,
               "a study judges steps");
  std::optional<tbb::global_control> limit;
  if (control.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(control.threads));
  }
  PlacementStudy study{.options = options, .judged = {}};
  Steps progress(control, options.steps * (1 + static_cast<int>(contenders.size())));
  const int baseline_slots = model.placements.front().slots_per_rank();
  JudgedPlacement baseline = times_of(model, options, progress);
  baseline.name = "baseline";
  baseline.replicas = model.replicas.choice;
  describe_slots(baseline, model, baseline_slots);
  judge_move(baseline, model, model, baseline, options);
  study.judged.push_back(std::move(baseline));
  for (const Contender& contender : contenders) {
    StepModel with = model;
    with.placements = contender.placements;
    with.replicas = contender.replicas.value_or(model.replicas);
    JudgedPlacement judged;
    if (same_slots(with.placements, model.placements) &&
        with.replicas.choice == model.replicas.choice) {
      judged = study.judged.front();
      progress.done(options.steps);
    } else {
      judged = times_of(with, options, progress);
    }
    judged.name = contender.name;
    judged.bound_layer_s = contender.bound_layer_s;
    judged.replicas = with.replicas.choice;
    judged.hindsight = contender.hindsight;
    judged.is_searched = contender.is_searched;
    describe_slots(judged, with, baseline_slots);
    judge_move(judged, model, with, study.judged.front(), options);
    study.judged.push_back(std::move(judged));
  }
  return study;
}

int experts_lost_with_a_node(const std::vector<Placement>& placements,
                             const std::vector<int>& node_of_rank) {
  const std::set<int> nodes(node_of_rank.begin(), node_of_rank.end());
  int most = 0;
  for (const int node : nodes) {
    int lost = 0;
    for (const Placement& placement : placements) {
      for (int e = 0; e < placement.num_experts(); ++e) {
        const auto slots = placement.slots_of(ExpertId{e});
        lost += std::all_of(slots.begin(), slots.end(), [&](SlotId slot) {
          return node_of_rank[placement.rank_of(slot).index()] == node;
        });
      }
    }
    most = std::max(most, lost);
  }
  return most;
}

std::vector<int> node_of_rank(const StepModel& model) {
  std::vector<int> nodes;
  nodes.reserve(static_cast<std::size_t>(model.ranks));
  for (int rank = 0; rank < model.ranks; ++rank) {
    nodes.push_back(model.cluster.place(GpuId{rank}).node);
  }
  return nodes;
}

}  // namespace moesim
