// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/trace_text.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "sim/report/table.hpp"

namespace moesim::cli {
namespace {

using traces::RoutePack;
using traces::SkewReport;
using traces::Spread;

/// One skew quantity: name for people, key for JSON, value.
struct Quantity {
  std::string name;
  std::string key;
  Spread spread;
};

void add(std::vector<Quantity>& list,
         std::string name,
         std::string key,
         const std::optional<Spread>& spread) {
  if (spread) {
    list.push_back({std::move(name), std::move(key), *spread});
  }
}

std::vector<Quantity> quantities(const SkewReport& skew) {
  std::vector<Quantity> list;
  add(list, "load max/mean", "load_max_over_mean", skew.max_over_mean);
  add(list, "coefficient of variation", "load_variation", skew.variation);
  add(list, "std of ln(load)", "load_std_ln", skew.std_ln);
  add(list, "share of the top 20 % of experts", "load_top_share", skew.top_share);
  add(list, "experts under 0.1 x mean", "cold_experts", skew.cold);
  if (skew.tokens) {
    add(list,
        "one sequence (>= 64 tokens) max/mean",
        "one_sequence_max_over_mean",
        skew.tokens->one_sequence);
    add(list,
        "overlap of consecutive tokens",
        "consecutive_overlap",
        skew.tokens->consecutive_overlap);
    add(list,
        "the same for independent tokens",
        "independent_overlap",
        skew.tokens->independent_overlap);
    add(list, "distance between domains", "domain_distance", skew.tokens->domain_distance);
    add(list,
        "one domain max/mean, hottest layer",
        "domain_max_over_mean",
        skew.tokens->hottest_layer_of_domain);
  }
  if (skew.steps) {
    add(list, "one step max/mean", "step_max_over_mean", skew.steps->max_over_mean);
    add(list, "distance between steps", "step_distance", skew.steps->step_distance);
    add(list, "distance of a source rank", "rank_distance", skew.steps->rank_distance);
  }
  return list;
}

std::string counted(std::int64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

/// "domains: a b", "" where no sequence has one.
std::string domains_line(const RoutePack& pack) {
  std::string text;
  for (const std::string& domain : pack.domains()) {
    text += domain.empty() ? "" : " " + domain;
  }
  return text.empty() ? "" : wrapped("domains:" + text);
}

std::string head(const RoutePack& pack, const TraceInfo& info) {
  const traces::PackHeader& header = pack.header;
  std::string text =
      wrapped(fmt::format("{}: {}, {} x {} experts, top-{}, {}",
                          pack.folder.string(),
                          header.model.empty() ? "model not stated" : header.model,
                          counted(header.layers, "MoE layer") +
                              (header.first_moe_layer > 0
                                   ? fmt::format(" (0 is the model's {})", header.first_moe_layer)
                                   : ""),
                          header.experts,
                          header.top_k,
                          header.phase == "unknown" ? "phase not stated" : header.phase));
  if (pack.per_token()) {
    text += fmt::format("{} in {}, gate weights: {}\n",
                        counted(pack.tokens(), "token"),
                        counted(static_cast<std::int64_t>(pack.sequences.size()), "sequence"),
                        pack.weights ? "yes" : "no");
    text += domains_line(pack);
  } else {
    text += fmt::format("counts of {} from {}\n",
                        counted(pack.steps(), "step"),
                        counted(pack.source_ranks(), "source rank"));
  }
  return text +
         wrapped(
             fmt::format("licence: {}", header.licence.empty() ? "not stated" : header.licence)) +
         fmt::format("sha256: {}\n", info.sha256);
}

}  // namespace

std::string trace_text(const RoutePack& pack, const TraceInfo& info) {
  std::vector<std::vector<std::string>> rows;
  for (const Quantity& q : quantities(info.skew)) {
    rows.push_back({q.name,
                    fmt::format("{:.2f}", q.spread.median),
                    fmt::format("{:.2f}", q.spread.min),
                    fmt::format("{:.2f}", q.spread.max)});
  }
  std::string text =
      head(pack, info) + "\n" + table({"skew, over layers", "median", "min", "max"}, rows);
  if (!info.overlap.empty()) {
    std::string line = "overlap by lag:";
    for (const double overlap : info.overlap) {
      line += fmt::format(" {:.2f}", overlap);
    }
    text += "\n";
    text += wrapped(line);
  }
  text += fmt::format("\n{}\n", load_text(info.load));
  text += info.findings.empty() ? "checks: nothing odd found\n" : "";
  for (const traces::Finding& finding : info.findings) {
    text += wrapped(fmt::format(
        "{}: {}", traces::is_error(finding.topic) ? "unfit" : "warning", finding.message));
  }
  return text;
}

std::string trace_json(const RoutePack& pack, const TraceInfo& info) {
  nlohmann::ordered_json json = {{"format", "moesim-trace-info"},
                                 {"pack", pack.folder.string()},
                                 {"model", pack.header.model},
                                 {"experts", pack.header.experts},
                                 {"top_k", pack.header.top_k},
                                 {"layers", pack.header.layers},
                                 {"phase", pack.header.phase},
                                 {"tokens", pack.tokens()},
                                 {"steps", pack.steps()},
                                 {"sequences", pack.sequences.size()},
                                 {"domains", pack.domains()},
                                 {"has_gate_weights", pack.weights.has_value()},
                                 {"licence", pack.header.licence},
                                 {"sha256", info.sha256},
                                 {"overlap_by_lag", info.overlap}};
  for (const Quantity& q : quantities(info.skew)) {
    json["skew"][q.key] = {
        {"median", q.spread.median}, {"min", q.spread.min}, {"max", q.spread.max}};
  }
  const auto spread_json = [](const Spread& spread) {
    return nlohmann::ordered_json{
        {"median", spread.median}, {"min", spread.min}, {"max", spread.max}};
  };
  json["rank_imbalance"] = nlohmann::ordered_json::array();
  for (const TraceLoad::Degree& degree : info.load.degrees) {
    json["rank_imbalance"].push_back(
        {{"ranks", degree.ranks}, {"max_over_mean_minus_1", spread_json(degree.imbalance)}});
  }
  json["drift"] = nlohmann::ordered_json::array();
  for (const TraceLoad::Drift& drift : info.load.drift) {
    json["drift"].push_back(
        {{"steps", drift.steps}, {"total_variation", spread_json(drift.distance)}});
  }
  json["findings"] = nlohmann::ordered_json::array();
  for (const traces::Finding& finding : info.findings) {
    json["findings"].push_back(
        {{"unfit", traces::is_error(finding.topic)}, {"message", finding.message}});
  }
  return json.dump(2) + "\n";
}

std::string trace_load_csv(const TraceInfo& info) {
  std::string csv = "layer,expert,assignments\n";
  for (std::size_t layer = 0; layer < info.load.load.size(); ++layer) {
    for (std::size_t e = 0; e < info.load.load[layer].size(); ++e) {
      csv += fmt::format("{},{},{}\n", layer, e, info.load.load[layer][e]);
    }
  }
  return csv;
}

}  // namespace moesim::cli
