// SPDX-License-Identifier: Apache-2.0
// Published tables of dispatch, combine and all-to-all.
#include <fmt/core.h>

#include <memory>
#include <utility>

#include "sim/calibrate/collective.hpp"
#include "sim/calibrate/exchange_point.hpp"
#include "sim/calibrate/predict_exchange.hpp"
#include "sim/calibrate/reading.hpp"

namespace moesim::calibrate {
namespace {

constexpr std::int64_t kChoiceBytes = 8;  // 4 B expert id + 4 B gate weight

Exchange exchange_of(const Row& row, std::string kernel, std::string_view ranks) {
  Exchange exchange{.kernel = std::move(kernel),
                    .ranks = row.count(ranks),
                    .tokens = row.count("tokens_per_rank"),
                    .hidden = row.count("hidden"),
                    .top_k = row.count("topk"),
                    .experts = row.count("num_experts"),
                    .copy = {}};
  if (exchange.experts % exchange.ranks != 0 || exchange.top_k > exchange.experts) {
    row.refuse(
        fmt::format("{} experts, top-{} on {} ranks: the ranks must divide the experts, and "
                    "top-k be no more than them",
                    exchange.experts,
                    exchange.top_k,
                    exchange.ranks));
  }
  return exchange;
}

bool is_ours(const Row& row, std::string_view column, const Hardware& hardware, Reading& reading) {
  const bool ours = hardware.is_gpu(row.text(column));
  reading.skipped["another GPU"] += ours ? 0 : 1;
  return ours;
}

/// deepep_normal_readme, deepep_lowlatency_readme: one phase a row.
void read_deepep_readme(const Row& row, Hardware& hardware, Reading& reading, bool low_latency) {
  if (!is_ours(row, "gpu", hardware, reading)) {
    return;
  }
  Exchange exchange =
      exchange_of(row, low_latency ? "deepep_low_latency" : "deepep_normal", "ep_size");
  exchange.dispatcher = low_latency ? DispatcherKind::kLowLatency : DispatcherKind::kHierarchical;
  if (low_latency && row.text("intra_node_transport") == "RDMA") {
    exchange.kernel = "deepep_low_latency_rdma";
    exchange.scale_up = false;
  }
  exchange.copy = fp8_copy(exchange);
  auto [dispatch, combine] =
      works_of(exchange, hardware, low_latency ? DispatchSpec{}.sms : row.count("comm_sms"));
  const Seconds time = row.microseconds(low_latency ? "reported_latency_us" : "derived_time_us");
  const bool is_combine = row.text("phase") == "combine";
  Point point =
      exchange_point(row.place(), exchange, std::move(is_combine ? combine : dispatch), time);
  point.source = row.text("source") + " @" + row.text("commit");
  reading.points.push_back(std::move(point));
}
void read_deepep_normal_readme(const Row& row, Hardware& hardware, Reading& reading) {
  read_deepep_readme(row, hardware, reading, false);
}
void read_deepep_low_latency_readme(const Row& row, Hardware& hardware, Reading& reading) {
  read_deepep_readme(row, hardware, reading, true);
}

/// aic_deepep_normal: dispatch and combine a row, transmit + notify.
void read_deepep_normal(const Row& row, Hardware& hardware, Reading& reading) {
  if (!is_ours(row, "device", hardware, reading)) {
    return;
  }
  Exchange exchange = exchange_of(row, "deepep_normal", "ep_size");
  exchange.dispatcher = DispatcherKind::kHierarchical;
  exchange.copy = fp8_copy(exchange);
  const auto total = [&](const std::string& phase) {
    const std::string notify = phase + "_notify_us";
    const Seconds extra = row.text(notify) == "0" ? Seconds{} : row.microseconds(notify);
    return row.microseconds(phase + "_transmit_us") + extra;
  };
  auto [dispatch, combine] = works_of(exchange, hardware, row.count("dispatch_sms"));
  combine.dispatch.sms = row.count("combine_sms");
  for (ExchangeWork* work : {&dispatch, &combine}) {
    const Seconds time = total(work->combine ? "combine" : "dispatch");
    Point point = exchange_point(row.place(), exchange, std::move(*work), time);
    point.shape += fmt::format(" {} SMs", point.sms);
    point.label += fmt::format(", {} SMs", point.sms);
    point.source = "ai-dynamo/aiconfigurator @095f58a, SGLang " + row.text("sglang_version");
    reading.points.push_back(std::move(point));
  }
}

void read_deepep_low_latency(const Row& row, Hardware& hardware, Reading& reading) {
  if (!is_ours(row, "device", hardware, reading)) {
    return;
  }
  Exchange exchange = exchange_of(row, "deepep_low_latency", "ep_size");
  exchange.dispatcher = DispatcherKind::kLowLatency;
  exchange.copy = fp8_copy(exchange);
  auto [dispatch, combine] = works_of(exchange, hardware, DispatchSpec{}.sms);
  for (ExchangeWork* work : {&dispatch, &combine}) {
    const Seconds time = row.microseconds(work->combine ? "combine_us" : "dispatch_us");
    Point point = exchange_point(row.place(), exchange, std::move(*work), time);
    point.source = "ai-dynamo/aiconfigurator @095f58a, SGLang " + row.text("sglang_version");
    reading.points.push_back(std::move(point));
  }
}

/// Payload with scales of one row of activations on the wire.
std::int64_t wire_bytes(const Row& row, const std::string& dtype, std::int64_t hidden) {
  constexpr std::int64_t kNvfp4Block = 16;  // one scale byte per 16 elements
  if (dtype == "bfloat16") {
    return activation_row_bytes(hidden, Dtype::kBf16);
  }
  if (dtype == "fp8") {
    return activation_row_bytes(hidden, Dtype::kFp8);
  }
  if (dtype != "nvfp4") {
    row.refuse(fmt::format("activation_dtype: \"{}\" is not bfloat16, fp8 or nvfp4", dtype));
  }
  return hidden / 2 + hidden / kNvfp4Block;
}

/// aic_trtllm_nvlink_alltoall_gb200: the combine carries bf16 whatever the dtype of the dispatch
/// (its times do not depend on it). Left out: preparation (a kernel of its own) and the combine in
/// low precision (bound by its conversion).
void read_trtllm_all_to_all(const Row& row, Hardware& hardware, Reading& reading) {
  if (!is_ours(row, "device", hardware, reading)) {
    return;
  }
  const std::string& op = row.text("op");
  if (op != "alltoall_dispatch" && op != "alltoall_combine") {
    ++reading.skipped["neither a dispatch nor a combine in full precision"];
    return;
  }
  const bool one_sided = row.text("backend") == "NVLinkOneSided";
  Exchange exchange =
      exchange_of(row, one_sided ? "nvlink_one_sided" : "nvlink_two_sided", "ep_size");
  exchange.dispatcher = one_sided ? DispatcherKind::kOneSided : DispatcherKind::kTwoSided;
  exchange.balanced = true;
  exchange.copy.payload = wire_bytes(row, row.text("activation_dtype"), exchange.hidden);
  exchange.copy.indices = exchange.top_k * kChoiceBytes;
  exchange.copy.combine = activation_row_bytes(exchange.hidden, Dtype::kBf16);
  auto [dispatch, combine] = works_of(exchange, hardware, DispatchSpec{}.sms);
  const bool is_combine = op == "alltoall_combine";
  Point point = exchange_point(row.place(),
                               exchange,
                               std::move(is_combine ? combine : dispatch),
                               row.microseconds("time_us"));
  point.shape += is_combine ? "" : " " + row.text("activation_dtype");
  point.source = "ai-dynamo/aiconfigurator @095f58a, TensorRT-LLM " + row.text("trtllm_version");
  reading.points.push_back(std::move(point));
}

/// trtllm_onesided_alltoall_gb200: dispatch and, where given, combine.
void read_trtllm_blog(const Row& row, Hardware& hardware, Reading& reading) {
  if (!is_ours(row, "gpu", hardware, reading)) {
    return;
  }
  Exchange exchange = exchange_of(row, "nvlink_one_sided", "ep_size");
  exchange.dispatcher = DispatcherKind::kOneSided;
  exchange.balanced = true;
  exchange.copy.payload = row.count("bytes_per_token_dispatch");
  exchange.copy.indices = exchange.top_k * kChoiceBytes;
  exchange.copy.combine = activation_row_bytes(exchange.hidden, Dtype::kBf16);
  auto [dispatch, combine] = works_of(exchange, hardware, DispatchSpec{}.sms);
  for (ExchangeWork* work : {&dispatch, &combine}) {
    const std::string column = work->combine ? "combine_us" : "dispatch_us";
    if (row.is_empty(column)) {
      continue;
    }
    const Seconds time = row.microseconds(column);
    Point point = exchange_point(row.place(), exchange, std::move(*work), time);
    point.shape += point.is_combine ? "" : " " + row.text("dispatch_dtype");
    point.label += " (blog)";
    point.source = "NVIDIA/TensorRT-LLM tech blog 18 @" + row.text("commit");
    reading.points.push_back(std::move(point));
  }
}

/// Where a table of collectives has what.
struct CollectiveColumns {
  std::string_view gpu;
  std::string_view ranks;
  std::string_view time;
  std::string (*source)(const Row& row);
};

/// aic_nccl_collectives, nccl_multinode_logs: the all-to-alls.
void read_collective(const Row& row,
                     Hardware& hardware,
                     Reading& reading,
                     CollectiveColumns names) {
  if (!is_ours(row, names.gpu, hardware, reading)) {
    return;
  }
  const int ranks = row.count(names.ranks);
  if (row.text("collective") != "alltoall" || ranks > kMostRanks) {
    ++reading.skipped[ranks > kMostRanks ? fmt::format("more than {} ranks", kMostRanks)
                                         : "a collective other than all-to-all"];
    return;
  }
  if (row.number("size_bytes") < kSmallestCollective) {
    ++reading.skipped[kTooSmallCollective];
    return;
  }
  reading.points.push_back(all_to_all_point(hardware,
                                            {.place = row.place(),
                                             .source = names.source(row),
                                             .ranks = ranks,
                                             .bytes = row.number("size_bytes"),
                                             .time = row.microseconds(names.time),
                                             .send_bytes = {}}));
}
void read_aic_collective(const Row& row, Hardware& hardware, Reading& reading) {
  read_collective(
      row, hardware, reading, {"device", "num_gpus", "time_us_median", [](const Row& r) {
                                 return "ai-dynamo/aiconfigurator @095f58a, NCCL " +
                                        r.text("nccl_version");
                               }});
}
void read_log_collective(const Row& row, Hardware& hardware, Reading& reading) {
  read_collective(row, hardware, reading, {"gpu", "gpus", "time_us", [](const Row& r) {
                                             return r.text("source") + " @" + r.text("commit");
                                           }});
}

}  // namespace

const std::vector<TableForm>& exchange_forms() {
  static const std::vector<TableForm> kForms = {
      {"deepep_normal_readme", {"comm_sms", "derived_time_us"}, read_deepep_normal_readme},
      {"deepep_lowlatency_readme", {"intra_node_transport"}, read_deepep_low_latency_readme},
      {"aic_deepep_normal", {"dispatch_transmit_us"}, read_deepep_normal},
      {"aic_deepep_lowlatency", {"sglang_version", "combine_bw_gb_s"}, read_deepep_low_latency},
      {"aic_trtllm_nvlink_alltoall_gb200", {"backend", "op"}, read_trtllm_all_to_all},
      {"trtllm_onesided_alltoall_gb200", {"bytes_per_token_dispatch"}, read_trtllm_blog},
      {"aic_nccl_collectives", {"collective", "time_us_median"}, read_aic_collective},
      {"nccl_multinode_logs", {"collective", "nvlink_domain_gpus"}, read_log_collective}};
  return kForms;
}

}  // namespace moesim::calibrate
