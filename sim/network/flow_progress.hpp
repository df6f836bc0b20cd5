// SPDX-License-Identifier: Apache-2.0
// How far the live flows of a network are, for those who look on. Looking changes nothing.
#pragma once

#include <span>

#include "sim/network/network.hpp"

namespace moesim {

/// What an engine may offer beside Network.
class FlowProgress {
 public:
  FlowProgress() = default;
  FlowProgress(const FlowProgress&) = delete;
  FlowProgress& operator=(const FlowProgress&) = delete;
  virtual ~FlowProgress() = default;

  /// Bytes that have not left yet at now(), by FlowId: at the rates that the flows have had.
  /// Written for live flows; the others keep what stands there.
  /// @param left  of every flow started so far
  /// False, and nothing written, when the engine has no rates.
  [[nodiscard]] virtual bool remaining(std::span<double> left) const = 0;
};

/// Null where the network does not offer it.
[[nodiscard]] const FlowProgress* flow_progress(const Network& network);

}  // namespace moesim
