// SPDX-License-Identifier: Apache-2.0
// What every network engine does: flows with paths in, completions out, in simulated time.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "sim/core/ids.hpp"
#include "sim/core/sim_time.hpp"
#include "sim/core/units.hpp"

namespace moesim {

/// Bytes along a path. The flow holds its share of every link until its last byte has left; it
/// completes one path latency later.
struct Flow {
  std::span<const LinkId> links;  ///< not empty, no link twice; read during start() only
  Bytes bytes;                    ///< > 0
  Seconds latency;                ///< >= 0, paid once
  BytesPerSecond rate_cap{std::numeric_limits<double>::infinity()};  ///< > 0
};

/// A network with live flows and its own clock. How flows share links is the engine's matter.
class Network {
 public:
  Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  virtual ~Network() = default;

  /// Starts a flow now. Ids count from 0 in order of starting.
  virtual FlowId start(const Flow& flow) = 0;

  /// Moves the clock to the first completion at or before `limit` and returns the flows that
  /// complete then, by ascending id. With none, moves the clock to `limit` (stays when limit is
  /// never()) and returns an empty span. The span is valid until the next call.
  virtual std::span<const FlowId> advance(SimTime limit) = 0;

  [[nodiscard]] virtual SimTime now() const = 0;
  /// Instants at which a set of flows drained, so far.
  [[nodiscard]] virtual std::int64_t events() const = 0;
};

enum class NetworkEngine { kFluid, kSimGrid, kMessage };

/// True when this build can make that engine.
[[nodiscard]] bool is_available(NetworkEngine engine);

/// @param capacity usable bytes/s per LinkId, each > 0 for a link that a flow crosses.
/// Throws EnvironmentError when the engine was not built in.
[[nodiscard]] std::unique_ptr<Network> make_network(NetworkEngine engine,
                                                    std::span<const BytesPerSecond> capacity);

struct NetworkSettings {
  NetworkEngine engine = NetworkEngine::kFluid;
  SimTime window{};  ///< kFluid: how long drained flows may hold their shares; 0: exact
  Bytes chunk{std::numeric_limits<double>::infinity()};  ///< kMessage; infinite: whole messages
};
/// The window with which no flow ends later than `tolerance` of a batch's makespan:
///
///   window = tolerance * bound / 6        bound <= makespan
///
/// Source: measured; docs/network.md, "Tolerance". Checked by: tolerance_test.
[[nodiscard]] SimTime tolerance_window(double tolerance, Seconds bound);

[[nodiscard]] std::unique_ptr<Network> make_network(const NetworkSettings& settings,
                                                    std::span<const BytesPerSecond> capacity);

/// When each flow of a batch that starts at once (or at its start time) finishes.
struct BatchFlow {
  std::vector<LinkId> links;
  Bytes bytes{};
  Seconds latency{};
  SimTime start{};  ///< ascending order is not required
};
struct BatchResult {
  std::vector<SimTime> finish;  ///< per flow, in order
  std::int64_t events = 0;
};

/// Runs a batch of flows to the end on a fresh network.
[[nodiscard]] BatchResult run_batch(Network& network, std::span<const BatchFlow> flows);

/// No schedule can beat this: max over links of (bytes over the link / capacity) and over flows of
/// (start + bytes / slowest link + latency), from the earliest start.
/// Source: conservation of bytes on each link. Valid for: any engine and any sharing rule.
/// Checked by: bound_test, INV-3.
[[nodiscard]] Seconds makespan_bound(std::span<const BytesPerSecond> capacity,
                                     std::span<const BatchFlow> flows);

}  // namespace moesim
