// SPDX-License-Identifier: Apache-2.0
// Published tables of expert operators and GEMMs.
#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>

#include "sim/calibrate/loads.hpp"
#include "sim/calibrate/predict_experts.hpp"
#include "sim/calibrate/reading.hpp"

namespace moesim::calibrate {
namespace {

constexpr int kContiguousPadding = 128;  // DeepGEMM's contiguous layout: groups start on 128 rows

constexpr const char* kFewAssignments =
    "fewer assignments than experts: the load cannot be told from the row";

/// The operator of one rank as a row tells it.
struct Operator {
  int hidden = 0;
  int width = 0;
  LoadShape load;
  std::string dtype;
  std::string distribution;
  std::int64_t tokens = 0;
};

Operator operator_of(const Row& row, std::string_view tokens_column) {
  Operator op{.hidden = row.count("hidden"),
              .width = row.count("inter"),
              .load = {row.count("num_experts"), row.count("topk"), row.count("ep")},
              .dtype = row.text("moe_dtype"),
              .distribution = row.text("distribution"),
              .tokens = row.count(tokens_column)};
  if (op.load.num_experts % op.load.ranks != 0) {
    row.refuse(
        fmt::format("ep: {} does not divide num_experts = {}", op.load.ranks, op.load.num_experts));
  }
  if (op.load.top_k > op.load.num_experts) {
    row.refuse(
        fmt::format("topk: {} is more than num_experts = {}", op.load.top_k, op.load.num_experts));
  }
  return op;
}

/// Loads of the timed rank's experts: "balanced", "uniform" or "power_law_<exponent>".
std::vector<std::vector<std::int64_t>> loads_of(
    const Row& row, const Operator& op, std::optional<std::int64_t> received = std::nullopt) {
  constexpr std::string_view kPowerLaw = "power_law_";
  if (op.distribution == "balanced" || op.distribution == "uniform") {
    return {balanced_load(op.load, op.tokens)};
  }
  double exponent = 0;
  const std::string_view name = op.distribution;
  if (name.starts_with(kPowerLaw)) {
    const std::string_view digits = name.substr(kPowerLaw.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
  }
  if (!(exponent > 0) || exponent == 1.0) {
    row.refuse(fmt::format("distribution: \"{}\" is not balanced, uniform or power_law_<exponent>",
                           op.distribution));
  }
  return power_law_loads(op.load, op.tokens, exponent, received);
}

Point operator_point(const Row& row,
                     const Hardware& hardware,
                     const Operator& op,
                     ExpertWork work) {
  work.gpu = hardware.spec().gpu;
  const bool fp8 = op.dtype == "fp8_block" || op.dtype == "fp8";
  if (!fp8 && op.dtype != "bfloat16") {
    row.refuse(fmt::format("moe_dtype: \"{}\" is not bfloat16, fp8 or fp8_block", op.dtype));
  }
  work.model = operator_shape(op.hidden, op.width, op.load.num_experts, op.load.top_k, fp8);
  work.model.dispatch_dtype = work.input;
  Point point;
  point.family = KernelFamily::kExperts;
  point.place = row.place();
  point.ep = op.load.ranks;
  point.size = static_cast<double>(op.tokens);
  point.shape = fmt::format("{} {}x{}", op.distribution, op.hidden, op.width);
  point.label = fmt::format("EP{} {} {} tokens", op.load.ranks, op.distribution, op.tokens);
  double rows = 0;
  for (const std::vector<std::int64_t>& load : work.loads) {
    rows += static_cast<double>(std::accumulate(load.begin(), load.end(), std::int64_t{0}));
  }
  point.rows = std::round(rows / static_cast<double>(work.loads.size()));
  point.slots = static_cast<double>(work.loads.front().size());
  point.hidden = op.hidden;
  point.width = op.width;
  point.weights = to_text(work.model.weight_dtype);
  point.measured = row.microseconds("time_us");
  point.predict = [work = std::make_shared<const ExpertWork>(std::move(work))](
                      const CostConstants& c) { return predict_experts(*work, c); };
  return point;
}

bool skip_other_gpu(const Row& row,
                    std::string_view column,
                    const Hardware& hardware,
                    Reading& reading) {
  if (hardware.is_gpu(row.text(column))) {
    return false;
  }
  ++reading.skipped["another GPU"];
  return true;
}

/// aic_moe_grouped_gemm: permute, both GEMMs, activation, finalise, on the most loaded rank.
void read_fused_operator(const Row& row, Hardware& hardware, Reading& reading) {
  // The table names no device but the system.
  const std::string& system = row.text("system");
  std::string name = system.substr(0, system.find('_'));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
    return static_cast<char>(std::toupper(c));
  });
  if (!hardware.is_gpu(name)) {
    ++reading.skipped["another GPU"];
    return;
  }
  const Operator op = operator_of(row, "num_tokens");
  if (op.load.ranks > 1 && op.tokens * op.load.top_k <= op.load.num_experts &&
      op.distribution.starts_with("power_law")) {
    ++reading.skipped[kFewAssignments];
    return;
  }
  ExpertWork work;
  work.input = Dtype::kBf16;
  work.loads = loads_of(row, op);
  work.output_rows = op.tokens;
  Point point = operator_point(row, hardware, op, std::move(work));
  point.kernel = "trtllm_cutlass";
  point.source = "ai-dynamo/aiconfigurator @095f58a, TensorRT-LLM " + row.text("version");
  reading.points.push_back(std::move(point));
}

/// aic_wideep_moe_compute_sglang: DeepGEMM; context in the contiguous layout, issued by the host
/// kernel by kernel, over a buffer of all tokens; generation in the masked layout.
void read_sglang_operator(const Row& row, Hardware& hardware, Reading& reading) {
  if (skip_other_gpu(row, "device", hardware, reading)) {
    return;
  }
  const Operator op = operator_of(row, "num_tokens");
  const bool context = row.text("phase") == "context";
  ExpertWork work;
  const bool filled = context && op.distribution == "uniform";
  work.loads = loads_of(row, op);
  if (filled) {
    work.loads = {filled_load(op.load, op.tokens, kContiguousPadding)};
  }
  work.output_rows = context ? op.tokens : 0;
  work.row_padding = context ? kContiguousPadding : 1;
  Point point = operator_point(row, hardware, op, std::move(work));
  point.kernel = context ? "deepgemm_contiguous" : "deepgemm_masked";
  point.is_host_issued = context;
  point.gathers = point.returns = context;
  point.source = "ai-dynamo/aiconfigurator @095f58a, SGLang " + row.text("sglang_version");
  reading.points.push_back(std::move(point));
}

/// aic_wideep_moe_compute_trtllm: the same kernels as the fused operator over the tokens that the
/// rank received.
void read_trtllm_operator(const Row& row, Hardware& hardware, Reading& reading) {
  if (skip_other_gpu(row, "device", hardware, reading)) {
    return;
  }
  const Operator op = operator_of(row, "global_tokens");
  const int received = row.count("rank0_received_tokens");
  if (op.tokens * op.load.top_k <= op.load.num_experts) {
    ++reading.skipped[kFewAssignments];
    return;
  }
  ExpertWork work;
  work.input = Dtype::kBf16;
  work.loads = loads_of(row, op, received);
  work.output_rows = received;
  Point point = operator_point(row, hardware, op, std::move(work));
  point.kernel = "trtllm_cutlass";
  point.shape += " received";
  point.label += " received";
  point.source = "ai-dynamo/aiconfigurator @095f58a, TensorRT-LLM " + row.text("trtllm_version");
  reading.points.push_back(std::move(point));
}

/// deepgemm_readme: FP8 GEMMs alone.
void read_deepgemm(const Row& row, Hardware& hardware, Reading& reading) {
  if (skip_other_gpu(row, "gpu", hardware, reading)) {
    return;
  }
  GemmWork work{.gpu = hardware.spec().gpu,
                .rows = std::vector<std::int64_t>(static_cast<std::size_t>(row.count("groups")),
                                                  row.count("m_per_group")),
                .columns = row.count("n"),
                .inner = row.count("k"),
                .weights = Dtype::kFp8};
  Point point;
  point.family = KernelFamily::kExperts;
  point.kernel = "deepgemm";
  point.place = row.place();
  point.source = row.text("source") + " @" + row.text("commit");
  point.shape = fmt::format("n {} k {}", work.columns, work.inner);
  point.label = fmt::format("{} x {} rows, {}", work.rows.size(), work.rows.front(), point.shape);
  point.ep = 1;
  point.size = static_cast<double>(work.rows.front());
  point.slots = static_cast<double>(work.rows.size());
  point.rows = point.size * point.slots;
  point.hidden = static_cast<double>(std::max(work.columns, work.inner));
  point.width = static_cast<double>(std::min(work.columns, work.inner));
  point.weights = to_text(work.weights);
  point.returns = true;
  point.measured = row.microseconds("derived_time_us");
  point.predict = [work = std::make_shared<const GemmWork>(std::move(work))](
                      const CostConstants& c) { return predict_gemm(*work, c); };
  reading.points.push_back(std::move(point));
}

}  // namespace

const std::vector<TableForm>& expert_forms() {
  static const std::vector<TableForm> kForms = {
      {"aic_wideep_moe_compute_trtllm",
       {"rank0_received_tokens", "moe_dtype"},
       read_trtllm_operator},
      {"aic_wideep_moe_compute_sglang", {"phase", "moe_dtype"}, read_sglang_operator},
      {"aic_moe_grouped_gemm", {"kernel_source", "moe_dtype", "inter"}, read_fused_operator},
      {"deepgemm_readme", {"m_per_group", "derived_time_us"}, read_deepgemm}};
  return kForms;
}

}  // namespace moesim::calibrate
