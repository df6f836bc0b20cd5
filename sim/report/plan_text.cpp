// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/report/plan_report.hpp"
#include "sim/report/table.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, 3> kObjectives = {"throughput", "latency", "cost"};
// By PlanLatency.
constexpr std::array<std::string_view, 3> kLatencies = {"latency", "P95 TTFT", "run"};
constexpr std::array<std::string_view, 3> kLatencyNames = {"step", "ttft_p95", "run"};
constexpr std::array<std::string_view, 7> kStates = {"not reached",
                                                     "feasible",
                                                     "over a limit",
                                                     "bound over a limit",
                                                     "bound dominated",
                                                     "left out by halving",
                                                     "refused"};

/// "ep" of "parallel.ep", but "cluster" of "cluster.preset".
std::string short_key(const std::string& key) {
  const std::size_t dot = key.rfind('.');
  const std::string leaf = dot == std::string::npos ? key : key.substr(dot + 1);
  return leaf == "preset" ? key.substr(0, dot) : leaf;
}

/// The keys that the configuration states.
std::string configuration(const PlanReport& report, const PlanRow& row) {
  std::string text;
  for (std::size_t k = 0; k < report.keys.size(); ++k) {
    if (!row.values[k].empty()) {
      text += fmt::format(
          "{}{} {}", text.empty() ? "" : ", ", short_key(report.keys[k]), row.values[k]);
    }
  }
  return text;
}

std::size_t count_of(const PlanReport& report, PlanState state) {
  return static_cast<std::size_t>(
      std::count_if(report.rows.begin(), report.rows.end(), [&](const PlanRow& row) {
        return row.refusal.empty() && row.outcome.state == state;
      }));
}

/// " (7 by compute and memory, 30 by traffic)": which bounds left the configurations out.
std::string by_bound(const PlanReport& report, PlanState state) {
  if (state != PlanState::kBoundOverLimit && state != PlanState::kDominated) {
    return "";
  }
  const auto traffic = static_cast<std::size_t>(
      std::count_if(report.rows.begin(), report.rows.end(), [&](const PlanRow& row) {
        return row.refusal.empty() && row.outcome.state == state && row.outcome.sharpened;
      }));
  const std::size_t rest = count_of(report, state) - traffic;
  std::string words = rest > 0 ? fmt::format("{} by compute and memory", rest) : "";
  if (traffic > 0) {
    words += fmt::format("{}{} by traffic", rest > 0 ? ", " : "", traffic);
  }
  return fmt::format(" ({})", words);
}

std::string counts(const PlanReport& report) {
  std::size_t refused = 0;
  for (const PlanRefusal& refusal : report.refusals) {
    refused += refusal.count;
  }
  std::string text = fmt::format("{} configurations: {} refused", report.rows.size(), refused);
  for (const PlanState state : {PlanState::kBoundOverLimit,
                                PlanState::kDominated,
                                PlanState::kLeftOut,
                                PlanState::kNotReached,
                                PlanState::kOverLimit,
                                PlanState::kFeasible}) {
    if (const std::size_t n = count_of(report, state); n > 0) {
      text += fmt::format(", {} {}{}", n, state_name(state), by_bound(report, state));
    }
  }
  return wrapped(text);
}

std::string limit_words(const PlanRow& row) {
  if (row.served) {
    return fmt::format(
        "{:.0f} % busy, cache to {:.0f} %", 100 * row.served->load.busy, 100 * row.served->kv_most);
  }
  return row.limit ? fmt::format("{} {:.0f} % ({})",
                                 whole_part_name(row.limit->part),
                                 100 * row.limit->share,
                                 resource_name(row.limit->resource))
                   : "";
}

std::string front_table(const PlanReport& report) {
  std::vector<std::string> header = {"#"};
  for (const std::string& key : report.keys) {
    header.push_back(short_key(key));
  }
  const bool serves = report.latency == PlanLatency::kFirstToken;
  header.insert(header.end(),
                {"GPUs",
                 serves ? "good tokens/s/GPU" : "tokens/s/GPU",
                 std::string(kLatencies[static_cast<std::size_t>(report.latency)])});
  if (serves) {
    header.insert(header.end(), {"P95 TPOT", "in SLO"});
  }
  const bool priced = report.rows[report.front.front()].money.has_value();
  if (priced) {
    header.insert(header.end(), {"USD/Mtok", "power"});
  }
  header.insert(header.end(), {"memory", "limited by"});
  std::vector<std::vector<std::string>> rows;
  for (const std::size_t r : report.front) {
    const PlanRow& row = report.rows[r];
    std::vector<std::string> cells = {fmt::format("{}", r)};
    cells.insert(cells.end(), row.values.begin(), row.values.end());
    cells.push_back(fmt::format("{}", row.gpus));
    cells.push_back(three_digits(row.outcome.score.throughput));
    cells.push_back(readable_latency(row.outcome.score.latency, report.latency));
    if (serves) {
      cells.push_back(readable_time(row.served->tpot_p95));
      cells.push_back(fmt::format("{:.1f} %", 100 * row.served->slo_ratio));
    }
    if (priced) {
      cells.push_back(fmt::format("{:.3g}", row.outcome.score.cost));
      cells.push_back(row.money->running.power.value > 0
                          ? readable_power(row.money->running.power.value)
                          : "?");
    }
    cells.push_back(fmt::format("{:.0f} %", 100 * row.memory_share));
    cells.push_back(limit_words(row));
    rows.push_back(std::move(cells));
  }
  return table(header, rows);
}

std::string refusal_lines(const PlanReport& report) {
  std::string text;
  for (const PlanRefusal& refusal : report.refusals) {
    text += wrapped(
        fmt::format("refused: {} x {}, as in: {}", refusal.count, refusal.reason, refusal.example));
  }
  return text;
}

/// One bar each side of the choice's own value.
std::string tornado(const PlanReport& report) {
  if (report.swings.empty()) {
    return "";
  }
  const double base = value_of(report.rows[report.front.front()].outcome.score, report.choose);
  const auto change = [&](double value) {
    return fmt::format("{:+.1f} %", 100 * (value / base - 1));
  };
  std::vector<std::vector<std::string>> rows;
  for (const PlanSwing& swing : report.swings) {
    constexpr double kBarsPerShare = 50;  // 20 % are ten
    const double widest = std::max(std::abs(swing.low / base - 1), std::abs(swing.high / base - 1));
    rows.push_back(
        {swing.knob,
         change(swing.low),
         change(swing.high),
         std::string(static_cast<std::size_t>(std::lround(std::min(widest * kBarsPerShare, 25.0))),
                     '#')});
  }
  return fmt::format("\nsensitivity of the choice's {}:\n", objective_name(report.choose)) +
         table({"input",
                fmt::format("-{:.4g} %", 100 * report.vary),
                fmt::format("+{:.4g} %", 100 * report.vary),
                ""},
               rows);
}

std::string threshold_lines(const PlanReport& report) {
  if (!report.alternative) {
    return "";
  }
  const PlanRow& other = report.rows[*report.alternative];
  std::string text = "\n";
  text += wrapped(fmt::format(
      "alternative: #{}, {}: {} {}",
      *report.alternative,
      configuration(report, other),
      objective_name(report.choose),
      readable(value_of(other.outcome.score, report.choose), report.choose, report.latency)));
  std::string quiet;
  for (const PlanThreshold& t : report.thresholds) {
    if (!t.factor) {
      quiet += fmt::format(
          "{}{} of the {} (to x{:.3g})", quiet.empty() ? "" : ", ", t.knob, t.side, t.tried);
      continue;
    }
    text += wrapped(fmt::format("worth it only if: {} of the {} {} x{:.3g} of what the plan says",
                                t.knob,
                                t.side,
                                *t.factor > 1 ? "below" : "above",
                                *t.factor));
  }
  if (!quiet.empty()) {
    text += wrapped(fmt::format("does not flip it: {}", quiet));
  }
  return text;
}

}  // namespace

std::string_view objective_name(PlanObjective objective) {
  return kObjectives[static_cast<std::size_t>(objective)];
}

std::string_view state_name(PlanState state) {
  return kStates[static_cast<std::size_t>(state)];
}

double value_of(const PlanScore& score, PlanObjective objective) {
  return objective == PlanObjective::kThroughput ? score.throughput : to_minimise(score, objective);
}

std::string_view latency_name(PlanLatency latency) {
  return kLatencyNames[static_cast<std::size_t>(latency)];
}

std::string readable_latency(double seconds, PlanLatency latency) {
  constexpr double kSecondsPerDay = 86'400;
  return latency == PlanLatency::kRun
             ? fmt::format("{} days", three_digits(seconds / kSecondsPerDay))
             : readable_time(seconds);
}

std::string readable(double value, PlanObjective objective, PlanLatency latency) {
  switch (objective) {
    case PlanObjective::kThroughput:
      return three_digits(value) + " tokens/s a GPU";
    case PlanObjective::kLatency:
      return readable_latency(value, latency);
    case PlanObjective::kCost:
      return readable_dollars(value) + " a million tokens";
  }
  return "";
}

std::string plan_text(const PlanReport& report) {
  const std::string of =
      report.kind.empty() ? "" : fmt::format("{} of {}, ", report.kind, report.model);
  const std::string steps = report.latency == PlanLatency::kFirstToken
                                ? ""
                                : fmt::format("{} step(s) each, ", report.steps);
  std::string text = wrapped(fmt::format("{}: {}template {}; {}method {}, cost {}",
                                         report.plan,
                                         of,
                                         report.scenario,
                                         steps,
                                         report.method,
                                         report.cost.empty() ? "not asked for" : report.cost));
  for (const std::string& limit : report.limits) {
    text += wrapped("limit: " + limit);
  }
  text += counts(report) + refusal_lines(report);
  if (report.front.empty()) {
    text += "\nno configuration is within the limits\n";
  } else {
    text += fmt::format("\nPareto front, best {} first:\n", objective_name(report.choose));
    text += front_table(report);
    const PlanRow& choice = report.rows[report.front.front()];
    text += "\n";
    text += wrapped(fmt::format(
        "choice: #{}, {}: {} {}",
        report.front.front(),
        configuration(report, choice),
        objective_name(report.choose),
        readable(value_of(choice.outcome.score, report.choose), report.choose, report.latency)));
    text += tornado(report) + threshold_lines(report);
    text += "\n";
  }
  for (const std::string& sentence : report.evidence) {
    text += wrapped("evidence: " + sentence);
  }
  for (const std::string& note : report.notes) {
    text += wrapped("note: " + note);
  }
  if (report.interrupted) {
    text += "interrupted: what was not reached may be better\n";
  }
  return text;
}

}  // namespace moesim
