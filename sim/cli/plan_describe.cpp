// SPDX-License-Identifier: Apache-2.0
// The result of a plan's search as a report.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "sim/cli/planner.hpp"
#include "sim/cli/whole_run.hpp"
#include "sim/report/table.hpp"
#include "sim/scenario/digest.hpp"
#include "sim/scenario/fields.hpp"

namespace moesim::cli {
namespace {

PlanLatency latency_of(const Scenario& s) {
  if (s.step.kind == StepKind::kServing) {
    return PlanLatency::kFirstToken;
  }
  const bool run = s.step.kind == StepKind::kTrain && s.price.training_tokens > 0;
  return run ? PlanLatency::kRun : PlanLatency::kStep;
}

/// @param serves  whether latencies are of requests
std::vector<std::string> limit_sentences(const PlanBudget& b, bool serves) {
  std::vector<std::string> words;
  const auto add = [&](bool stated, std::string sentence) {
    if (stated) {
      words.push_back(std::move(sentence));
    }
  };
  const char* const of = serves ? "P95 of the " : "";
  add(b.tpot.value > 0,
      fmt::format("{}time per output token up to {}", of, readable_time(b.tpot.value)));
  add(b.ttft.value > 0,
      fmt::format("{}time to the first token up to {}", of, readable_time(b.ttft.value)));
  add(b.slo_ratio > 0,
      fmt::format("at least {:.4g} % of the requests within the SLO", 100 * b.slo_ratio));
  add(b.days > 0, fmt::format("a run of up to {:.6g} days", b.days));
  add(b.run_cost.value > 0, fmt::format("up to {} a run", readable_dollars(b.run_cost.value)));
  add(b.per_million.value > 0,
      fmt::format("up to {} a million tokens", readable_dollars(b.per_million.value)));
  add(b.hourly.value > 0, fmt::format("up to {} an hour", readable_dollars(b.hourly.value)));
  add(b.purchase.value > 0, fmt::format("up to {} to buy", readable_dollars(b.purchase.value)));
  add(b.power.value > 0, fmt::format("up to {}", readable_power(b.power.value)));
  add(b.tokens_per_s > 0, fmt::format("at least {:.6g} tokens/s", b.tokens_per_s));
  add(b.per_gpu > 0, fmt::format("at least {:.6g} tokens/s a GPU", b.per_gpu));
  return words;
}

PlanRow row_of(const PlanPoint& point) {
  PlanRow row;
  row.values = point.values;
  if (!point.refusal.empty()) {
    row.refusal =
        point.key.empty() ? point.refusal : fmt::format("{}: {}", point.key, point.refusal);
    row.outcome.state = PlanState::kRefused;
  } else if (point.scenario) {
    row.bound = point.candidate.bound;
    row.gpus = static_cast<int>(gpus_of(*point.scenario));
    row.nodes = point.nodes;
    row.memory_share = point.memory_share;
    row.money = point.money;
    row.grade = whole_grade(point.scenario->calibration);
  }
  return row;
}

void describe_rows(const PlanResult& result, PlanReport& report) {
  for (const PlanPoint& point : result.points.points) {
    report.rows.push_back(row_of(point));
  }
  for (std::size_t c = 0; c < result.ready.size(); ++c) {
    PlanRow& row = report.rows[result.ready[c]];
    if (!row.refusal.empty()) {
      continue;
    }
    row.outcome = result.search.outcomes[c];
    row.outcome.by = result.ready[row.outcome.by];
    row.bound = row.outcome.bound;
    if (row.outcome.state == PlanState::kFeasible || row.outcome.state == PlanState::kOverLimit) {
      row.limit = result.runs[result.ready[c]].limit;
      row.served = result.runs[result.ready[c]].yield.served;
    }
  }
}

void describe_front(const PlanResult& result, PlanReport& report) {
  for (const std::size_t c : result.search.front) {
    report.front.push_back(result.ready[c]);
  }
  const auto value = [&](std::size_t row) {
    return to_minimise(report.rows[row].outcome.score, report.choose);
  };
  std::stable_sort(report.front.begin(), report.front.end(), [&](std::size_t a, std::size_t b) {
    return value(a) < value(b);
  });
  if (!report.front.empty()) {
    report.resolved_choice = resolved_toml(result.scenario(report.front.front()));
    report.notes = result.runs[report.front.front()].notes;
  }
  if (result.alternative) {
    report.alternative = result.ready[*result.alternative];
  }
}

void count_refusals(PlanReport& report) {
  for (const PlanRow& row : report.rows) {
    if (row.refusal.empty()) {
      continue;
    }
    const std::size_t colon = row.refusal.find(": ");
    const std::string reason = row.refusal.substr(0, colon);
    const std::string message =
        colon == std::string::npos ? row.refusal : row.refusal.substr(colon + 2);
    const auto known = std::find_if(report.refusals.begin(),
                                    report.refusals.end(),
                                    [&](const auto& r) { return r.reason == reason; });
    if (known == report.refusals.end()) {
      report.refusals.push_back({reason, 1, message});
    } else {
      ++known->count;
    }
  }
  std::stable_sort(report.refusals.begin(),
                   report.refusals.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
}

void describe_inputs(const PlanFile& plan, const PlanResult& result, PlanReport& report) {
  std::set<std::filesystem::path> files = {plan.study.file};
  for (const std::size_t i : result.ready) {
    const Scenario& s = result.scenario(i);
    files.insert(s.inputs.begin(), s.inputs.end());
    report.kind = step_kind_words()[static_cast<std::size_t>(s.step.kind)];
    report.model = s.model.name;
    report.latency = latency_of(s);
    if (s.price.is_stated()) {
      report.cost = plan.search.cost == CostKind::kOwned ? "owned" : "rented";
    }
  }
  for (const std::filesystem::path& file : files) {
    report.inputs.push_back({file.string(), sha256_hex(file)});
  }
}

}  // namespace

PlanReport describe_plan(const PlanFile& plan, const PlanResult& result) {
  PlanReport report;
  report.version = MOESIM_VERSION;
  report.plan = plan.study.file.string();
  report.scenario = plan.study.scenario.string();
  report.keys = result.points.keys;
  report.method = kPlanMethods[static_cast<std::size_t>(plan.search.method)];
  report.objectives = plan.objectives;
  report.choose = plan.search.choose;
  report.steps = result.steps;
  report.vary = plan.search.vary;
  report.interrupted = result.search.interrupted;
  describe_rows(result, report);
  describe_front(result, report);
  count_refusals(report);
  describe_inputs(plan, result, report);
  report.limits = limit_sentences(plan.budget, report.latency == PlanLatency::kFirstToken);
  return report;
}

}  // namespace moesim::cli
