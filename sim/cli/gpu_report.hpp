// SPDX-License-Identifier: Apache-2.0
// A scenario measured on GPUs, as values, as text and as JSON; and beside its simulation.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gpu_ref/measure/layer_meter.hpp"
#include "sim/report/run_report.hpp"

namespace moesim::cli {

enum class Phase : std::uint8_t { kGate, kDispatch, kExperts, kCombine };
inline constexpr std::size_t kNumPhases = 4;
[[nodiscard]] const char* phase_name(Phase phase);

/// The phase that a stage of the CUDA layer belongs to; none for the losses.
///   gate      gate
///   dispatch  place, spread, dispatch (the transfer)
///   experts   regroup, gate_up, activation, down, shared
///   combine   ungroup, return (the transfer), combine
[[nodiscard]] std::optional<Phase> phase_of_stage(const std::string& stage);

/// One MoE layer of one step.
struct GpuLayer {
  int layer = 0;
  std::array<RankSpread, kNumPhases> phases{};
  std::vector<std::pair<std::string, RankSpread>> stages;  ///< over ranks, in order of execution
  LayerResult load;  ///< assignments, drops, imbalance; its times are not used
};

struct GpuReport {
  RunReport head;  ///< without steps
  std::string device;
  int gpus = 1;
  int ranks = 1;
  bool network = false;  ///< transfers between ranks were real
  std::vector<std::vector<GpuLayer>> steps;

  /// Dispatch and combine hold a transfer: without a network only their local part was measured.
  [[nodiscard]] bool is_whole(Phase phase) const {
    return network || phase == Phase::kGate || phase == Phase::kExperts;
  }
};

/// Mean and slowest rank of every stage and phase. Throws nothing; ranks is not empty.
[[nodiscard]] GpuLayer summarise_ranks(int layer, const std::vector<measure::MeasuredRank>& ranks);

/// Of a phase summed over layers, mean over steps.
[[nodiscard]] RankSpread phase_total(const GpuReport& report, Phase phase);
[[nodiscard]] RankSpread phase_total(const RunReport& report, Phase phase);

/// Sentences about what was measured and what was not.
[[nodiscard]] std::vector<std::string> gpu_notes(const GpuReport& report);

[[nodiscard]] std::string gpu_text(const GpuReport& report);
[[nodiscard]] std::string gpu_json(const GpuReport& report);

/// Simulated beside measured, by phase and layer; error = simulated / measured - 1, only where the
/// same thing was measured.
[[nodiscard]] std::string comparison_text(const RunReport& simulated, const GpuReport& measured);
[[nodiscard]] std::string comparison_json(const RunReport& simulated, const GpuReport& measured);

}  // namespace moesim::cli
