// SPDX-License-Identifier: Apache-2.0
// Keys and values on their way from a prefilling group to a decoding one, as flows on the fabric.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sim/step/step.hpp"

namespace moesim {

/// An attention group by its first GPU.
struct KvMove {
  int from_gpu = 0;
  int to_gpu = 0;
  int ranks = 1;   ///< tp: rank i sends to rank i
  Bytes per_rank;  ///< above 0
};

/// Moves share the links max-min fairly with each other, at the effective rates of the cluster. A
/// move starts when its prompt is prefilled and ends when all its ranks have everything.
/// Source: the transfer of SGLang's and Mooncake's prefill-decode split, whole prompts at a time.
/// Left out: transfers layer by layer while the prompt is prefilled, and the traffic of dispatch
/// and combine on the same links. Checked by: serve_test.
class KvNetwork {
 public:
  explicit KvNetwork(const StepModel& step);  ///< outlives it
  ~KvNetwork();

  void start(std::int64_t id, const KvMove& move);
  /// Moves the clock to the first end of moves at or before `limit`, or to `limit`.
  /// @return the moves that end then, in order of starting
  [[nodiscard]] std::vector<std::int64_t> advance(SimTime limit);
  [[nodiscard]] SimTime now() const;
  [[nodiscard]] bool idle() const { return live_ == 0; }

 private:
  const StepModel& step_;
  PathFinder finder_;
  std::vector<BytesPerSecond> capacity_;
  std::unique_ptr<Network> network_;
  std::vector<std::int64_t> move_of_flow_;  ///< by FlowId
  struct Live {
    std::int64_t id = 0;
    int flows = 0;
  };
  std::vector<Live> moves_;
  int live_ = 0;
};

}  // namespace moesim
