// SPDX-License-Identifier: Apache-2.0
#include "sim/report/memory_report.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "sim/report/table.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

/// Bytes that one token adds to the caches of all layers together.
double kv_bytes_per_token(const MemoryModel& m) {
  return static_cast<double>(kv_elements(m.model.attention)) * m.model.layers *
         bytes_per_element(m.memory.kv_dtype);
}

std::string layout_words(const ParallelSpec& p) {
  return fmt::format("ep {}, tp {}, pp {}, dp {}", p.ep, p.tp, p.pp, p.dp);
}

std::string count_or_none(const std::optional<std::int64_t>& count) {
  return count ? fmt::format("{}", *count) : "none fits";
}

std::string bill_table(const MemoryReport& report) {
  const MemoryBill& bill = report.stages[report.largest];
  const double capacity = report.model.capacity.value;
  std::vector<std::vector<std::string>> rows;
  const auto row = [&](const std::string& name, Bytes size) {
    rows.push_back({name, readable_bytes(size.value), readable_share(size.value / capacity)});
  };
  for (std::size_t p = 0; p < kNumMemoryParts; ++p) {
    if (bill.parts[p].value > 0) {
      row(std::string(memory_part_name(static_cast<MemoryPart>(p))), bill.parts[p]);
    }
  }
  row("total", bill.total());
  if (report.fits()) {
    row("free", report.model.capacity - bill.total());
  } else {
    row("too much by", bill.total() - report.model.capacity);
  }
  return table({fmt::format("rank of stage {}", bill.stage), "memory", "of the GPU"}, rows);
}

Json bill_json(const MemoryBill& bill) {
  Json parts = Json::object();
  for (std::size_t p = 0; p < kNumMemoryParts; ++p) {
    std::string name(memory_part_name(static_cast<MemoryPart>(p)));
    for (char& c : name) {
      c = c == ' ' ? '_' : c;
    }
    parts[name + "_bytes"] = bill.parts[p].value;
  }
  return {{"stage", bill.stage}, {"total_bytes", bill.total().value}, {"parts", parts}};
}

Json count_json(const std::optional<std::int64_t>& count) {
  return count ? Json(*count) : Json(nullptr);
}

}  // namespace

MemoryReport memory_report(const MemoryModel& model) {
  MemoryReport report;
  report.model = model;
  for (int stage = 0; stage < model.parallel.pp; ++stage) {
    report.stages.push_back(memory_bill(model, stage));
    if (report.stages.back().total() > report.stages[report.largest].total()) {
      report.largest = report.stages.size() - 1;
    }
  }
  report.most_tokens = most_tokens_per_rank(model);
  report.most_context = most_context_tokens(model);
  return report;
}

std::string memory_text(const MemoryReport& report) {
  const MemoryModel& m = report.model;
  const bool decode = m.kind == StepKind::kDecode;
  std::string text = wrapped(fmt::format("{}: {} of {} on {} ({}), {} tokens a rank, context {}",
                                         report.scenario,
                                         report.kind,
                                         m.model.name,
                                         report.gpu,
                                         layout_words(m.parallel),
                                         m.batch.tokens_per_rank,
                                         m.batch.context_tokens)) +
                     "\n" + bill_table(report) + "\n";
  text += fmt::format("fits: {}\n", report.fits() ? "yes" : "no");
  text += fmt::format("most tokens a rank at context {}: {}\n",
                      m.batch.context_tokens,
                      count_or_none(report.most_tokens));
  text += fmt::format("most context {}: {}\n",
                      decode ? fmt::format("of {} sequences a rank", m.batch.tokens_per_rank)
                             : "of one sequence a rank",
                      count_or_none(report.most_context));
  if (m.kind != StepKind::kTrain) {
    text +=
        fmt::format("KV cache: {} a token, all layers\n", readable_bytes(kv_bytes_per_token(m)));
  }
  return text;
}

Json memory_summary(const MemoryReport& report) {
  Json bill = bill_json(report.stages[report.largest]);
  return {{"total_bytes", bill["total_bytes"]},
          {"gpu_memory_bytes", report.model.capacity.value},
          {"parts", bill["parts"]}};
}

std::string memory_json(const MemoryReport& report) {
  const MemoryModel& m = report.model;
  Json inputs = Json::array();
  for (const InputDigest& input : report.inputs) {
    inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
  }
  Json stages = Json::array();
  for (const MemoryBill& bill : report.stages) {
    stages.push_back(bill_json(bill));
  }
  const Json json = {{"format", "moesim-memory"},
                     {"format_version", 1},
                     {"moesim_version", report.version},
                     {"scenario", report.scenario},
                     {"inputs", inputs},
                     {"step_kind", report.kind},
                     {"total_parameters", total_parameters(m.model)},
                     {"active_parameters", active_parameters(m.model)},
                     {"kv_bytes_per_token", kv_bytes_per_token(m)},
                     {"gpu_memory_bytes", m.capacity.value},
                     {"largest_stage", report.stages[report.largest].stage},
                     {"fits", report.fits()},
                     {"most_tokens_per_rank", count_json(report.most_tokens)},
                     {"most_context_tokens", count_json(report.most_context)},
                     {"stages", stages},
                     {"resolved_scenario", report.resolved}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace moesim
