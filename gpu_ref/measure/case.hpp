// SPDX-License-Identifier: Apache-2.0
// What the kit can measure: one plain struct a kind, and the name, work and JSON of each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gpu_ref/measure/record.hpp"

namespace moesim::measure {

enum class ElementType { kBf16, kFp8 };
enum class Pass { kForward, kBackwardInput, kBackwardWeight };
enum class Projection { kGateUp, kDown };
enum class LaunchMode { kStream, kGraph, kHost };
enum class RowOp { kGate, kPermute, kCombine, kQuantise, kActivation };
enum class CollectiveOp { kAllToAll, kAllToAllV, kSendRecv, kAllGather, kReduceScatter };

[[nodiscard]] std::string_view to_text(ElementType type);
[[nodiscard]] std::string_view to_text(Pass pass);
[[nodiscard]] std::string_view to_text(Projection projection);
[[nodiscard]] std::string_view to_text(LaunchMode mode);
[[nodiscard]] std::string_view to_text(RowOp op);
[[nodiscard]] std::string_view to_text(CollectiveOp op);

/// Counts and bytes in figures of work.
[[nodiscard]] inline double real(std::int64_t value) {
  return static_cast<double>(value);
}

/// The facts of the device and of the libraries; no time.
struct DeviceInput {};

struct CopyInput {
  std::int64_t bytes = 0;
};

struct GemmInput {
  ElementType type = ElementType::kBf16;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t inner = 0;
};

struct LaunchInput {
  LaunchMode mode = LaunchMode::kStream;
};

/// Operations on token rows. Gate, permute and combine use tokens, width = hidden, experts, top_k;
/// quantise rows = tokens of width hidden; the activation rows = tokens of the expert width.
struct RowsInput {
  RowOp op = RowOp::kPermute;
  std::int64_t tokens = 0;
  std::int64_t width = 0;
  std::int64_t experts = 0;
  std::int64_t top_k = 0;
};

struct GroupedInput {
  std::string model{};
  Projection projection = Projection::kGateUp;
  Pass pass = Pass::kForward;
  ElementType type = ElementType::kBf16;
  std::int64_t columns = 0;
  std::int64_t inner = 0;
  std::string skew{};                  ///< how counts were made
  std::vector<std::int64_t> counts{};  ///< rows of each expert held
};

/// The whole layer with all its experts on one GPU.
struct LayerInput {
  std::string model{};
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  std::int64_t width = 0;
  std::int64_t top_k = 0;
  ElementType type = ElementType::kBf16;
  bool backward = false;
  std::string skew{};
  std::vector<std::int64_t> counts{};  ///< assignments of each expert; none above tokens
};

struct CollectiveInput {
  CollectiveOp op = CollectiveOp::kAllToAll;
  int ranks = 0;
  int processes = 1;
  std::int64_t bytes = 0;  ///< as docs/measurement.md counts them
  std::string skew = "uniform";
  std::vector<std::int64_t> send_bytes{};  ///< all_to_all_v: [sender * ranks + receiver]
};

using CaseInput = std::variant<DeviceInput,
                               CopyInput,
                               GemmInput,
                               LaunchInput,
                               RowsInput,
                               GroupedInput,
                               LayerInput,
                               CollectiveInput>;

struct Case {
  CaseInput input{};
  L2State l2 = L2State::kCold;
  int tier = 0;           ///< 0: most valuable; a sweep runs tier after tier
  double estimate_s = 0;  ///< expected wall time of measuring it, set-up included
};

/// "grouped_gemm", "gate", "collective", ...
[[nodiscard]] std::string kind_of(const Case& c);
/// Unique among the cases of a sweep, e.g.
/// "grouped_gemm/mixtral-8x7b/down/forward/bf16/e8/r4096/uniform/cold".
[[nodiscard]] std::string key_of(const Case& c);
[[nodiscard]] JsonLine input_json(const CaseInput& input);

/// Flops and bytes of one operation. One multiply-add is two flops; a byte counts once where it is
/// read and once where it is written; weights count where their expert has rows.
/// Checked by: sweep_test.
[[nodiscard]] Work work_of(const CaseInput& input);

/// Sum of the counts.
[[nodiscard]] std::int64_t rows_of(const std::vector<std::int64_t>& counts);
/// How many counts are not zero.
[[nodiscard]] std::int64_t busy_experts(const std::vector<std::int64_t>& counts);

}  // namespace moesim::measure
