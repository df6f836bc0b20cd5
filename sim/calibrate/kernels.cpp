// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/kernels.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace moesim::calibrate {
namespace {

/// Nothing published reaches more: 1,550 of 1,979 Tflop/s fp8 (DeepGEMM), 3.18 of 3.35 TB/s (STREAM
/// dot); Azure AI-benchmarking-guide.
constexpr double kBestGemmEfficiency = 0.85;
constexpr double kBestMemoryEfficiency = 0.95;

/// Largest over smallest size from which a start tells itself apart from a rate.
constexpr double kSizesThatDiffer = 8;

std::string plain(double value) {
  return fmt::format("{:.4g}", value);
}
/// Four digits of the nanoseconds: a constant is not known better.
std::string time_text(double value) {
  return fmt::format("\"{:.4g} us\"", value * 1e6);
}
std::string gap_text(double value) {
  return fmt::format("\"{:.4g} ns\"", value * 1e9);
}
std::string rate_text(double value) {
  return fmt::format("\"{:.4g} GB/s\"", value * 1e-9);
}
std::string size_text(double value) {
  return fmt::format("\"{:.4g} B\"", value);
}

Constant kernel_launch() {
  return {"kernel_launch",
          [](CostConstants& c) -> double& { return c.kernel_launch.value; },
          time_text,
          0.2e-6,
          60e-6,
          {2e-6, 10e-6}};
}
Constant gemm_efficiency() {
  return {"gemm_efficiency",
          [](CostConstants& c) -> double& { return c.gemm_efficiency; },
          plain,
          0.05,
          kBestGemmEfficiency,
          {0.3, 0.7}};
}
Constant memory_efficiency() {
  return {"memory_efficiency",
          [](CostConstants& c) -> double& { return c.memory_efficiency; },
          plain,
          0.2,
          kBestMemoryEfficiency,
          {0.8}};
}
Constant gemm_overlap() {
  return {"gemm_overlap",
          [](CostConstants& c) -> double& { return c.gemm_overlap; },
          plain,
          0.0,
          1.0,
          {0.5}};
}
Constant tile_fetch_share() {
  return {"tile_fetch_share",
          [](CostConstants& c) -> double& { return c.tile_fetch_share; },
          plain,
          0.0,
          1.0,
          {0.5}};
}
Constant expert_floor() {
  return {"expert_floor",
          [](CostConstants& c) -> double& { return c.expert_floor.value; },
          time_text,
          0.0,
          1e-3,
          {350e-6}};
}
Constant communication_start() {
  return {"communication_start",
          [](CostConstants& c) -> double& { return c.communication_start.value; },
          time_text,
          1e-6,
          300e-6,
          {12e-6}};
}
Constant combine_extra_start() {
  return {"combine_extra_start",
          [](CostConstants& c) -> double& { return c.combine_extra_start.value; },
          time_text,
          0.0,
          200e-6,
          {3e-6}};
}
Constant message_gap() {
  return {"message_gap",
          [](CostConstants& c) -> double& { return c.message_gap.value; },
          gap_text,
          0.0,
          500e-9,
          {5e-9, 30e-9}};
}
Constant message_overhead() {
  return {"message_overhead",
          [](CostConstants& c) -> double& { return c.message_overhead.value; },
          size_text,
          0.0,
          20e6,
          {1e5}};
}
Constant scale_up_efficiency() {
  return {"scale_up_efficiency",
          [](CostConstants& c) -> double& { return c.scale_up_efficiency; },
          plain,
          0.1,
          1.0,
          {0.75}};
}
Constant scale_out_efficiency() {
  return {"scale_out_efficiency",
          [](CostConstants& c) -> double& { return c.scale_out_efficiency; },
          plain,
          0.1,
          1.0,
          {0.87}};
}
Constant sm_copy_rate() {
  return {"sm_copy_rate",
          [](CostConstants& c) -> double& { return c.sm_copy_rate.value; },
          rate_text,
          1e9,
          100e9,
          {15e9}};
}
Constant combine_sm_copy_rate() {
  return {"combine_sm_copy_rate",
          [](CostConstants& c) -> double& { return c.combine_sm_copy_rate.value; },
          rate_text,
          1e9,
          100e9,
          {15e9}};
}

template <typename Value, typename Member>
std::set<Value> distinct(std::span<const Point> points, Member member) {
  std::set<Value> values;
  for (const Point& point : points) {
    values.insert(point.*member);
  }
  return values;
}

std::vector<Constant> communication_constants(std::span<const Point> points) {
  std::vector<Constant> constants;
  const bool collective = points.front().kernel == "nccl";
  const bool combine =
      std::any_of(points.begin(), points.end(), [](const Point& p) { return p.is_combine; });
  const auto [least, most] = std::minmax_element(
      points.begin(), points.end(), [](const Point& a, const Point& b) { return a.size < b.size; });
  const bool sizes_differ = most->size >= kSizesThatDiffer * least->size;
  if (sizes_differ) {
    constants.push_back(communication_start());
  }
  if (combine) {
    constants.push_back(combine_extra_start());
  }
  if (collective && sizes_differ) {
    constants.push_back(message_overhead());
  } else if (!collective && points.front().kernel != "deepep_normal") {
    constants.push_back(message_gap());
  }
  const auto uses = [&](bool Point::*member) {
    return std::any_of(points.begin(), points.end(), [&](const Point& p) { return p.*member; });
  };
  if (uses(&Point::uses_scale_up)) {
    constants.push_back(scale_up_efficiency());
  }
  if (uses(&Point::uses_scale_out)) {
    constants.push_back(scale_out_efficiency());
  }
  if (distinct<int>(points, &Point::sms).size() > 1) {
    constants.push_back(sm_copy_rate());
    if (combine) {
      constants.push_back(combine_sm_copy_rate());
    }
  }
  return constants;
}

}  // namespace

std::vector<Constant> constants_of(std::span<const Point> points) {
  if (points.front().family == KernelFamily::kCommunication) {
    return communication_constants(points);
  }
  std::vector<Constant> constants = {
      kernel_launch(), gemm_efficiency(), memory_efficiency(), gemm_overlap(), tile_fetch_share()};
  if (points.front().is_host_issued) {
    constants.push_back(expert_floor());
  }
  return constants;
}

std::vector<TileChoice> tiles_of(KernelFamily family) {
  if (family == KernelFamily::kCommunication) {
    return {TileChoice{}};
  }
  return {{64, 128}, {128, 128}, {128, 256}};
}

}  // namespace moesim::calibrate
