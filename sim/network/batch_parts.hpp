// SPDX-License-Identifier: Apache-2.0
// A batch of flows as parts that share no link. Each part has its own network and clock.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "sim/network/network.hpp"

namespace moesim {

/// What may look into a batch while it runs.
struct BatchControl {
  const std::atomic<bool>* cancelled = nullptr;  ///< checked at every event
  /// Flows finished so far. Called from any thread, one at a time, every few thousand flows.
  std::function<void(std::int64_t finished)> on_progress;
};

/// Runs a batch on one network for each set of flows that is joined through links, all parts at the
/// same time when TBB has threads for them.
///
/// The fluid engine gets no links that never bind (wide_links.hpp).
/// Flows that share no link, not even through others, have no influence on each other: max-min
/// rates and completions of a part are the same alone. Finish times are those of one network to the
/// picosecond's rounding, and equal at any number of threads.
/// Source: links joined by union-find over the flows' paths.
/// Valid for: flows known beforehand.
/// Checked by: batch_parts_test.
class PartedBatch {
 public:
  /// Posts the flows that start first. `capacity` and `flows` must live until run() has returned.
  PartedBatch(const NetworkSettings& settings,
              std::span<const BytesPerSecond> capacity,
              std::span<const BatchFlow> flows);
  /// Once. Cancelled before its end it gives a result without meaning.
  [[nodiscard]] BatchResult run(const BatchControl& control = {});
  [[nodiscard]] std::size_t num_parts() const { return parts_.size(); }

 private:
  struct Part {
    std::vector<std::uint32_t> flows;  ///< by start, then by index
    std::vector<BytesPerSecond> capacity;
    std::unique_ptr<Network> network;
    std::size_t num_started = 0;
  };

  void split(NetworkEngine engine);
  void start_due(Part& part) const;
  void run_part(Part& part, BatchResult& result, const BatchControl& control);
  void report(std::size_t finished, const BatchControl& control);

  std::span<const BytesPerSecond> capacity_;
  std::span<const BatchFlow> flows_;
  std::vector<std::int32_t> inner_link_;  ///< by link: its number in its part, -1: left out
  std::vector<Part> parts_;
  std::mutex progress_;
  std::int64_t num_finished_ = 0;
};

}  // namespace moesim
