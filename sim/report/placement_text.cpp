// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "sim/moe/replica_names.hpp"
#include "sim/report/placement_gap.hpp"
#include "sim/report/placement_report.hpp"
#include "sim/report/table.hpp"
#include "sim/report/text_report.hpp"

namespace moesim {
namespace {

std::string signed_share(double share) {
  return fmt::format("{}{} %", share < 0.0 ? "-" : "", three_digits(std::abs(100.0 * share)));
}

std::string signed_time(double seconds) {
  return fmt::format("{}{}", seconds < 0.0 ? "-" : "", readable_time(std::abs(seconds)));
}

double mean_of(const std::vector<double>& values) {
  return distribution_of(values).mean;
}

std::string head(const PlacementReport& report) {
  const StudyOptions& o = report.study.options;
  const int first = o.train.first + o.train.steps;
  return wrapped(
             fmt::format("{}: {} placements made from steps {} to {}, judged on steps {} to {}, "
                         "seed {}",
                         report.run.scenario,
                         report.study.judged.size(),
                         o.train.first,
                         first - 1,
                         first,
                         first + o.steps - 1,
                         report.run.seed)) +
         provenance_text(report.run);
}

bool has_bounds(const PlacementStudy& study) {
  return std::any_of(study.judged.begin(), study.judged.end(), [](const JudgedPlacement& j) {
    return j.bound_layer_s.has_value();
  });
}

std::string times(const PlacementStudy& study) {
  const bool bounds = has_bounds(study);
  std::vector<std::string> header = {
      "placement", "imbal.", "layer", "P99", "step", "P99", "NIC bytes"};
  if (bounds) {
    header.insert(header.end(), {"bound", "gap"});
  }
  std::vector<std::vector<std::string>> rows;
  for (const JudgedPlacement& j : study.judged) {
    const Distribution layer = distribution_of(j.layer_s);
    const Distribution step = distribution_of(j.step_s);
    std::vector<std::string> row = {j.name,
                                    three_digits(mean_of(j.rank_imbalance)),
                                    readable_time(layer.mean),
                                    readable_time(layer.p99),
                                    readable_time(step.mean),
                                    readable_time(step.p99),
                                    readable_bytes(mean_of(j.scale_out_bytes))};
    if (bounds) {
      row.push_back(j.bound_layer_s ? readable_time(*j.bound_layer_s) : "-");
      row.push_back(j.bound_layer_s ? signed_share(layer.mean / *j.bound_layer_s - 1.0) : "-");
    }
    rows.push_back(row);
  }
  return table(header, rows);
}

std::string signed_bytes(double bytes) {
  return fmt::format("{}{}", bytes < 0.0 ? "-" : "", readable_bytes(std::abs(bytes)));
}

std::string costs(const PlacementStudy& study) {
  std::vector<std::vector<std::string>> rows;
  rows.reserve(study.judged.size());
  for (const JudgedPlacement& j : study.judged) {
    rows.push_back({j.name,
                    fmt::format("{}", j.slots_per_rank),
                    signed_bytes(j.replica_bytes),
                    fmt::format("{:.0f}", j.replica_tokens),
                    readable_bytes(static_cast<double>(j.migration.total_bytes())),
                    readable_time(j.pause.value),
                    readable_time(j.beside.value),
                    fmt::format("{}", j.lost_experts)});
  }
  return table({"placement", "slots", "HBM", "KV tokens", "moved", "pause", "beside", "lost"},
               rows);
}

/// Gain by window, where there are several.
std::string drift(const PlacementStudy& study) {
  if (study.options.windows < 2) {
    return "";
  }
  std::vector<std::string> header = {"step time saved in window"};
  for (int w = 1; w <= study.options.windows; ++w) {
    header.push_back(fmt::format("{}", w));
  }
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 1; i < study.judged.size(); ++i) {
    std::vector<std::string> row = {study.judged[i].name};
    for (const double gain : study.judged[i].window_gain) {
      row.push_back(signed_share(gain));
    }
    rows.push_back(row);
  }
  return fmt::format("\n{}", table(header, rows));
}

std::string policies(const std::vector<RebalanceOutcome>& outcomes) {
  if (outcomes.empty()) {
    return "";
  }
  std::vector<std::vector<std::string>> rows;
  rows.reserve(outcomes.size());
  for (const RebalanceOutcome& o : outcomes) {
    rows.push_back({policy_text(o.policy),
                    fmt::format("{}", o.moves),
                    readable_bytes(static_cast<double>(o.moved_bytes)),
                    readable_time(o.stall_s),
                    readable_time(distribution_of(o.step_s).mean),
                    readable_time(o.mean_s()),
                    signed_share(1.0 - o.mean_s() / outcomes.front().mean_s())});
  }
  return fmt::format(
      "\n{}",
      table({"EPLB made anew", "moves", "moved", "stall", "step", "with stall", "saved"}, rows));
}

template <typename HotList, typename Name>
std::string list_of(const HotList& hot, const Name& name) {
  std::string text;
  for (const auto& one : hot) {
    text += text.empty() ? "" : ", ";
    text += name(one);
  }
  return text.empty() ? "none" : text;
}

/// Hot spots of the slowest layer of one placement.
std::string hot_spots(const JudgedPlacement& j, const RunReport& run) {
  const LayerResult& layer = j.slowest.result;
  std::string text = fmt::format("  {}: layer {} of step {}, {}\n",
                                 j.name,
                                 layer.layer,
                                 j.slowest.step,
                                 readable_time(layer.makespan().to_seconds().value));
  text += wrapped("    experts: " + list_of(layer.hot_experts, [](const auto& h) {
                    return fmt::format("{} ({:.0f})", h.id.value, h.value);
                  }));
  text += wrapped("    ranks: " + list_of(layer.hot_ranks, [](const auto& h) {
                    return fmt::format("{} ({:.0f})", h.id.value, h.value);
                  }));
  text += wrapped("    pairs: " + list_of(layer.hot_pairs, [](const HotPair& h) {
                    return fmt::format("{}->{} ({})",
                                       h.source.value,
                                       h.destination.value,
                                       readable_bytes(static_cast<double>(h.bytes)));
                  }));
  return text + wrapped("    links: " + list_of(layer.hot_links, [&](const HotLink& h) {
                          return fmt::format(
                              "{} ({})", run.link_names[h.id.index()], readable_time(h.busy.value));
                        }));
}

/// The contender with the fastest mean step, but for hindsight.
const JudgedPlacement& fastest(const PlacementStudy& study) {
  return *std::min_element(study.judged.begin(), study.judged.end(), [](auto& a, auto& b) {
    return a.hindsight != b.hindsight ? b.hindsight : mean_of(a.step_s) < mean_of(b.step_s);
  });
}

std::string changes(const PlacementReport& report) {
  const JudgedPlacement& best = fastest(report.study);
  const JudgedPlacement& baseline = report.study.judged.front();
  std::string text =
      "\nslowest layer, before and with the fastest:\n" + hot_spots(baseline, report.run);
  return &best == &baseline ? text : text + hot_spots(best, report.run);
}

/// What is left to gain, of those that a search found.
std::string gaps(const PlacementStudy& study) {
  std::string text;
  for (const JudgedPlacement& j : study.judged) {
    const std::optional<PlacementGap> gap = placement_gap(study, j);
    if (gap && !j.hindsight && j.is_searched) {
      text += wrapped(gap_text(j, *gap));
    }
  }
  return text.empty() ? text : "\nleft to gain:\n" + text;
}

/// Who has another choice of replicas than the baseline.
std::string choices(const PlacementStudy& study) {
  std::string text;
  for (const JudgedPlacement& j : study.judged) {
    if (j.replicas != study.judged.front().replicas) {
      text += wrapped(
          fmt::format("{}: with placement.replica_choice = \"{}\" (the scenario has \"{}\")",
                      j.name,
                      to_text(j.replicas),
                      to_text(study.judged.front().replicas)));
    }
  }
  return text;
}

std::string interval(const Verdict& v) {
  return std::isfinite(v.half_width_s) ? fmt::format("95 % interval {} to {}",
                                                     signed_time(v.gain_s - v.half_width_s),
                                                     signed_time(v.gain_s + v.half_width_s))
                                       : "one step, no interval";
}

/// The number that would flip it.
std::string flip(const Verdict& v, double horizon) {
  switch (v.kind) {
    case VerdictKind::kTry: {
      const double lowest = v.needed_s * horizon / (v.gain_s - v.half_width_s);
      return fmt::format("no longer sure if it lasts less than {:.0f} steps", std::ceil(lowest));
    }
    case VerdictKind::kSkip:
      return v.break_even_steps && *v.break_even_steps > 0.0
                 ? fmt::format("worth it if it lasted more than {:.0f} steps",
                               std::ceil(*v.break_even_steps))
                 : fmt::format("worth it if a step got faster by more than {}",
                               signed_time(v.needed_s - v.gain_s));
    case VerdictKind::kUnknown:
      return v.steps_to_settle
                 ? fmt::format("about {:.0f} judged steps would settle it", *v.steps_to_settle)
                 : "judge more steps";
  }
  return "";
}

}  // namespace

std::string_view to_text(VerdictKind kind) {
  switch (kind) {
    case VerdictKind::kTry:
      return "try";
    case VerdictKind::kSkip:
      return "skip";
    case VerdictKind::kUnknown:
      break;
  }
  return "unknown";
}

std::string policy_text(const RebalancePolicy& policy) {
  if (policy.every > 0) {
    return fmt::format("every {} steps", policy.every);
  }
  return policy.threshold > 0.0 ? fmt::format("above imbalance {}", policy.threshold) : "never";
}

std::string verdict_text(const JudgedPlacement& judged,
                         const JudgedPlacement& baseline,
                         double horizon) {
  const Verdict& v = judged.verdict;
  if (judged.migration.experts_sent == 0 && judged.step_s == baseline.step_s) {
    return fmt::format("{}: skip: it is the baseline", judged.name);
  }
  if (!judged.fits) {
    return fmt::format("{}: skip: its experts take {} of a rank, more than the GPU has",
                       judged.name,
                       readable_bytes(judged.expert_bytes));
  }
  const double before = mean_of(baseline.step_s);
  if (judged.hindsight) {
    return fmt::format(
        "{}: skip: made from the steps it is judged on, so no placement to use; it {} {} "
        "of a step: what knowing them would give",
        judged.name,
        v.gain_s < 0.0 ? "loses" : "saves",
        signed_share(std::abs(v.gain_s) / before));
  }
  std::string text = fmt::format("{}: {}: {} {} of a step ({}; {})",
                                 judged.name,
                                 to_text(v.kind),
                                 v.gain_s < 0.0 ? "loses" : "saves",
                                 signed_share(std::abs(v.gain_s) / before),
                                 readable_time(std::abs(v.gain_s)),
                                 interval(v));
  if (judged.stall().value > 0.0) {
    text += fmt::format(", needs {} to pay for a stall of {} {} in {:.0f} steps",
                        readable_time(v.needed_s),
                        readable_time(judged.stall().value),
                        judged.pause < judged.beside ? "in a pause" : "beside the serving",
                        horizon);
  }
  if (v.break_even_steps && judged.stall().value > 0.0) {
    text += fmt::format(", paid back after {:.0f} steps", std::ceil(*v.break_even_steps));
  }
  return text + "; " + flip(v, horizon);
}

std::string placement_text(const PlacementReport& report) {
  const PlacementStudy& study = report.study;
  std::string text = head(report) + "\n" + times(study) + choices(study) + "\n" + costs(study) +
                     drift(study) + policies(report.policies) + changes(report) + "\n";
  for (std::size_t i = 1; i < study.judged.size(); ++i) {
    text += wrapped(verdict_text(study.judged[i], study.judged.front(), study.options.horizon));
  }
  text += gaps(study) + "\n";
  text += wrapped(
      "imbal.: max/mean assignments of a rank, mean over steps and layers. NIC bytes: of a step. "
      "slots: of a rank and layer. HBM: of a rank, beyond the baseline's, and the tokens whose "
      "keys and values it would hold. pause, beside: stall of the move when serving stops, or goes "
      "on. lost: (layer, expert) pairs that the worst lost node takes along.");
  for (const std::string& note : report.run.notes) {
    text += wrapped("note: " + note);
  }
  return text;
}

}  // namespace moesim
