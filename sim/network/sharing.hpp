// SPDX-License-Identifier: Apache-2.0
// What differs between network engines: how live flows share links. Latency and the checking of
// flows are alike for all of them and live in latency_network.hpp.
#pragma once

#include <span>

#include "sim/network/network.hpp"

namespace moesim {

/// Live flows that share links, and a clock. A flow drains when its last byte has left.
class Sharing {
 public:
  Sharing() = default;
  Sharing(const Sharing&) = delete;
  Sharing& operator=(const Sharing&) = delete;
  virtual ~Sharing() = default;

  /// Starts a flow now; its id is the number of starts before it. Its latency is not looked at.
  virtual void start(FlowId id, const Flow& flow) = 0;

  /// Moves the clock to the first drain at or before `limit` and returns the flows that drain
  /// then. With none, moves the clock to `limit` (stays when limit is never()) and returns an empty
  /// span. The span is valid until the next call.
  virtual std::span<const FlowId> advance(SimTime limit) = 0;

  [[nodiscard]] virtual SimTime now() const = 0;

  /// As FlowProgress::remaining.
  [[nodiscard]] virtual bool remaining(std::span<double> /*left*/) const { return false; }
};

}  // namespace moesim
