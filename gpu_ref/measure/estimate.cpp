// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/estimate.hpp"

#include <algorithm>

namespace moesim::measure {
namespace {

constexpr double kBandwidth = 0.7 * 4.8e12;
constexpr double kBf16Rate = 0.5 * 989e12;
constexpr double kFp8Rate = 0.5 * 1979e12;
constexpr double kFillBandwidth = 1.5e12;  ///< random values into device memory
constexpr double kLinkBandwidth = 3e11;    ///< a GPU's collective bytes/s, low
constexpr double kKernelStart = 5e-6;
constexpr double kHostCall = 5e-6;       ///< the device waits so long for each call enqueued
constexpr double kFlush = 1.2e8 / 3e12;  ///< two H200 L2 caches written
constexpr double kSampleHost = 3e-5;     ///< two events and a wait
constexpr double kSetUp = 8e-3;          ///< allocation, clocks, a synced line of the file
constexpr double kPlan = 2e-4;           ///< descriptors and an algorithm from the library, a call
constexpr double kWarmup = 3;
constexpr double kSamples = 20;
constexpr double kCollectiveStart = 5e-5;
constexpr double kLayerLaunches = 30;

double rate(ElementType type) {
  return type == ElementType::kFp8 ? kFp8Rate : kBf16Rate;
}

struct Rate {
  double operator()(const GemmInput& g) const { return rate(g.type); }
  double operator()(const GroupedInput& g) const { return rate(g.type); }
  double operator()(const LayerInput& l) const { return rate(l.type); }
  template <typename Input>
  double operator()(const Input& /*input*/) const {
    return kBf16Rate;
  }
};

struct Launches {
  double operator()(const GroupedInput& g) const {
    return g.type == ElementType::kFp8 ? real(busy_experts(g.counts)) : 2;
  }
  double operator()(const LayerInput& l) const {
    const double gemms = l.type == ElementType::kFp8 ? 2 * real(busy_experts(l.counts)) : 0;
    return kLayerLaunches + gemms;
  }
  double operator()(const RowsInput& r) const { return r.op == RowOp::kGate ? 3 : 1; }
  template <typename Input>
  double operator()(const Input& /*input*/) const {
    return 1;
  }
};

/// Weights of the layer's experts, elements.
double layer_weights(const LayerInput& l) {
  return real(static_cast<std::int64_t>(l.counts.size())) * 3 * real(l.width) * real(l.hidden);
}

struct DeviceBytes {
  double operator()(const CopyInput& c) const { return 2 * real(c.bytes); }
  double operator()(const GroupedInput& g) const {
    const double weights =
        real(static_cast<std::int64_t>(g.counts.size())) * real(g.columns) * real(g.inner);
    const double rows = real(rows_of(g.counts)) * (real(g.columns) + real(g.inner));
    return (g.type == ElementType::kFp8 ? 3 : 2) * (weights + rows);
  }
  double operator()(const LayerInput& l) const {
    const double rows = real(rows_of(l.counts)) * (7 * real(l.hidden) + 4 * real(l.width)) * 2;
    const double weights = layer_weights(l) * (l.type == ElementType::kFp8 ? 3 : 2);
    return (weights + rows) * (l.backward ? 2 : 1);
  }
  double operator()(const CollectiveInput& c) const { return 2 * real(c.bytes) * c.ranks; }
  template <typename Input>
  double operator()(const Input& input) const {
    return work_of(input).bytes.value_or(0) * 2;
  }
};

}  // namespace

double launches_of(const CaseInput& input) {
  return std::visit(Launches{}, input);
}

double device_bytes(const CaseInput& input) {
  return std::visit(DeviceBytes{}, input);
}

double estimate_operation_seconds(const CaseInput& input) {
  if (const auto* collective = std::get_if<CollectiveInput>(&input)) {
    return kCollectiveStart + real(collective->bytes) / kLinkBandwidth;
  }
  const Work work = work_of(input);
  double bytes = work.bytes.value_or(0);
  if (const auto* layer = std::get_if<LayerInput>(&input)) {
    bytes = device_bytes(*layer);
  }
  return std::max(work.flops.value_or(0) / std::visit(Rate{}, input), bytes / kBandwidth) +
         launches_of(input) * kKernelStart;
}

double estimate_seconds(const Case& c) {
  if (std::holds_alternative<DeviceInput>(c.input)) {
    return kSetUp;
  }
  const double operation = estimate_operation_seconds(c.input);
  const double before = c.l2 == L2State::kWarm ? operation : kFlush;
  const double sample = before + kHostCall * launches_of(c.input) + operation + kSampleHost;
  const double planning = kPlan * launches_of(c.input);
  return kSetUp + planning + device_bytes(c.input) / kFillBandwidth + (kWarmup + kSamples) * sample;
}

}  // namespace moesim::measure
