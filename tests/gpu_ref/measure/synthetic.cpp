// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_ref/measure/synthetic.hpp"

namespace moesim::measure {
namespace {

GroupedInput grouped(Projection projection, Pass pass, ElementType type) {
  return {.model = "deepseek-v2-lite",
          .projection = projection,
          .pass = pass,
          .type = type,
          .columns = projection == Projection::kGateUp ? 2816 : 2048,
          .inner = projection == Projection::kGateUp ? 2048 : 1408,
          .skew = "lognormal1",
          .counts = {700, 150, 100, 74}};
}

RawRecord record_of(const Case& c, int second) {
  RawRecord record;
  record.kind = kind_of(c);
  record.key = key_of(c);
  record.input = input_json(c.input);
  record.l2 = c.l2;
  record.work = work_of(c.input);
  record.device = {.name = "Synthetic GPU (not a device)",
                   .driver = "0.0",
                   .cuda_runtime = "13.0",
                   .sm_count = 132,
                   .power_limit_w = 700};
  record.before = {.sm_hz = 1.98e9, .memory_hz = 3.2e9, .temperature_c = 35, .power_w = 120};
  record.after = {.sm_hz = 1.755e9, .memory_hz = 3.2e9, .temperature_c = 41, .power_w = 640};
  record.origin = {.version = "0.1.0",
                   .commit = "synthetic",
                   .measured_at = "2000-01-01T00:00:0" + std::to_string(second) + "Z"};
  return record;
}

}  // namespace

std::vector<Case> synthetic_cases() {
  return {
      {.input = DeviceInput{}, .l2 = L2State::kNone},
      {.input = CopyInput{.bytes = 1 << 30}},
      {.input = GemmInput{.type = ElementType::kFp8, .rows = 8192, .columns = 8192, .inner = 8192}},
      {.input = LaunchInput{.mode = LaunchMode::kStream}, .l2 = L2State::kNone},
      {.input =
           RowsInput{
               .op = RowOp::kPermute, .tokens = 4096, .width = 2048, .experts = 64, .top_k = 6}},
      {.input = grouped(Projection::kGateUp, Pass::kForward, ElementType::kFp8)},
      {.input = grouped(Projection::kDown, Pass::kBackwardWeight, ElementType::kBf16)},
      {.input = LayerInput{.model = "mixtral-8x7b",
                           .tokens = 8,
                           .hidden = 4096,
                           .width = 14336,
                           .top_k = 2,
                           .skew = "uniform",
                           .counts = {2, 2, 2, 2, 2, 2, 2, 2}}},
      {.input = CollectiveInput{.op = CollectiveOp::kAllToAllV,
                                .ranks = 2,
                                .bytes = 3072,
                                .skew = "lognormal1",
                                .send_bytes = {1024, 2048, 1024, 2048}},
       .l2 = L2State::kNone},
      {.input = grouped(Projection::kDown, Pass::kForward, ElementType::kFp8)},
  };
}

std::vector<std::string> synthetic_lines() {
  std::vector<std::string> lines;
  const std::vector<Case> cases = synthetic_cases();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    RawRecord record = record_of(cases[i], static_cast<int>(i));
    if (record.kind == "device") {
      record.timing.extra.add("compute_capability", "9.0")
          .add("memory_bytes", std::int64_t{150'000'000'000})
          .add("l2_bytes", std::int64_t{52'428'800})
          .add("gpus_present", 2);
    } else if (i + 1 == cases.size()) {
      record.skipped = "the library has no such product on this device";
    } else {
      const double t = 1e-5 * static_cast<double>(i);
      record.timing.samples_s = {t, t * 1.01, t * 0.99, t, t * 1.02};
      record.timing.warmup = 3;
    }
    if (record.kind == "layer") {
      record.timing.extra.add("stages_s", JsonLine().add("gate", 1e-5).add("gate_up", 4e-5));
    }
    if (record.kind == "collective") {
      record.timing.extra.add("algbw_bytes_per_s", 3.84e7).add("busbw_bytes_per_s", 1.92e7);
    }
    lines.push_back(to_line(record));
  }
  return lines;
}

}  // namespace moesim::measure
