// SPDX-License-Identifier: Apache-2.0
// One measured case as a line of the raw file. Schema: docs/measurement.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gpu_ref/measure/json_line.hpp"
#include "gpu_ref/measure/statistics.hpp"

namespace moesim::measure {

inline constexpr const char* kRawFormat = "moesim-raw";
inline constexpr int kRawSchema = 1;

/// What the caches hold when a sample starts.
enum class L2State {
  kCold,  ///< a buffer of at least twice the L2 was written between the samples
  kWarm,  ///< the operation ran on the same operands just before
  kNone,  ///< the case has no operands (launch cost, collectives across GPUs)
};
[[nodiscard]] std::string_view to_text(L2State state);  ///< "cold", "warm", "none"

/// The state of a GPU at one instant; what the driver does not tell is absent.
struct Clocks {
  std::optional<double> sm_hz{};
  std::optional<double> memory_hz{};
  std::optional<double> temperature_c{};
  std::optional<double> power_w{};
};

/// What identifies a GPU and its limits.
struct DeviceIdentity {
  std::string name{};
  std::string driver{};        ///< version of the NVIDIA driver, "" if unknown
  std::string cuda_runtime{};  ///< "13.0"
  int sm_count = 0;
  std::optional<double> power_limit_w{};
};

/// Samples of one case.
struct Timing {
  std::vector<double> samples_s{};  ///< in order of taking, per operation
  int warmup = 0;                   ///< samples thrown away before them
  int repeats = 1;                  ///< operations of one sample
  StopReason stop = StopReason::kSamples;
  /// Further facts of the case that only the measuring itself yields (phase times, library
  /// versions): a JSON object, may be empty.
  JsonLine extra{};
};

/// Work of one operation, counted from its inputs; absent where it has no meaning.
struct Work {
  std::optional<double> flops{};
  std::optional<double> bytes{};  ///< read and written, each operand once
};

/// Who measured, when.
struct Origin {
  std::string version{};      ///< of moesim
  std::string commit{};       ///< of the source tree, "unknown" if it was no checkout
  std::string measured_at{};  ///< UTC, "2026-11-25T03:09:16Z"
};

struct RawRecord {
  std::string kind{};
  std::string key{};  ///< unique in a sweep; what --resume compares
  JsonLine input{};
  L2State l2 = L2State::kNone;
  Timing timing{};        ///< without samples: a record of facts alone (kind "device")
  std::string skipped{};  ///< why the case could not run; then the timing has no samples
  Work work{};
  DeviceIdentity device{};
  Clocks before{};
  Clocks after{};
  Origin origin{};
};

/// The line, without a newline.
[[nodiscard]] std::string to_line(const RawRecord& record);

}  // namespace moesim::measure
