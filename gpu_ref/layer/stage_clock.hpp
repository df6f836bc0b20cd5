// SPDX-License-Identifier: Apache-2.0
// Device time of each stage of a layer pass.
#pragma once

#include <string_view>
#include <vector>

#include "gpu_ref/device/stream.hpp"
#include "sim/core/units.hpp"

namespace moesim::gpu_ref {

enum class Stage {
  kGate,        ///< logits and top-k
  kPlace,       ///< counts, capacity, places
  kSpread,      ///< permutation into send order (and FP8 quantisation)
  kDispatch,    ///< all-to-all to the experts
  kRegroup,     ///< receive order to expert order
  kGateUp,      ///< grouped GEMM
  kActivation,  ///< SwiGLU (and FP8 quantisation)
  kDown,        ///< grouped GEMM
  kUngroup,     ///< expert order to receive order
  kReturn,      ///< all-to-all back to the tokens
  kShared,      ///< shared expert
  kCombine,     ///< weighted sum
  kLosses,      ///< auxiliary loss and z-loss
  kCombineBackward,
  kGradientDispatch,
  kRegroupBackward,
  kDownBackward,
  kActivationBackward,
  kGateUpBackward,
  kUngroupBackward,
  kGradientReturn,
  kSpreadBackward,
  kSharedBackward,
  kGateBackward,
};

/// "gate", "place", ... "gate_backward": names in measurement files.
[[nodiscard]] std::string_view stage_name(Stage stage);

/// Whether the stage is a transfer between ranks.
[[nodiscard]] bool is_transfer(Stage stage);

struct StageTime {
  Stage stage = Stage::kGate;
  Seconds time;
};

/// Brackets stages with events. One stage at a time; events are kept for the next pass.
class StageClock {
 public:
  void start(Stage stage, StreamHandle stream);
  void stop(StreamHandle stream);
  /// Waits for the last stage; times in order of execution (a stage may occur more than once), then
  /// forgets them.
  [[nodiscard]] std::vector<StageTime> read();

 private:
  struct Lap {
    Stage stage = Stage::kGate;
    Event begin;
    Event end;
  };
  std::vector<Lap> laps_;
  std::size_t used_ = 0;
};

}  // namespace moesim::gpu_ref
