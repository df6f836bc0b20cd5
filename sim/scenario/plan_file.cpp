// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/plan_file.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "sim/core/atomic_file.hpp"
#include "sim/core/text.hpp"
#include "sim/scenario/field_access.hpp"
#include "sim/scenario/field_reader.hpp"
#include "sim/scenario/toml_reader.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

// Words stand in the order of the enumerators.
constexpr std::string_view kObjectives[] = {"throughput", "latency", "cost"};
constexpr std::string_view kCosts[] = {"owned", "rented"};

void limit_fields(Fields& f, PlanBudget& b) {
  f.begin(optional("limits"));
  f.positive(optional("tpot"), b.tpot);
  f.positive(optional("ttft"), b.ttft);
  f.positive(optional("purchase"), b.purchase);
  f.positive(optional("hourly"), b.hourly);
  f.positive(optional("power"), b.power);
  f.positive(optional("usd_per_million_tokens"), b.per_million);
  f.number(optional("days"), b.days, NumberRange::kPositive);
  f.positive(optional("run_cost"), b.run_cost);
  f.number(optional("slo_ratio"), b.slo_ratio, NumberRange::kFraction);
  f.number(optional("tokens_per_s"), b.tokens_per_s, NumberRange::kPositive);
  f.number(optional("tokens_per_s_per_gpu"), b.per_gpu, NumberRange::kPositive);
  f.end();
}

void search_fields(Fields& f, PlanSearchSpec& s) {
  f.begin(optional("search"));
  f.word(optional("method"), s.method, kPlanMethods);
  f.list(optional("objectives"), s.objectives);
  f.word(optional("choose"), s.choose, kObjectives);
  f.word(optional("cost"), s.cost, kCosts);
  f.flag(optional("fit_nodes"), s.fit_nodes);
  f.number(optional("vary"), s.vary, NumberRange::kShare);
  f.end();
}

/// search.objectives as enumerators; reports words that are none.
std::vector<PlanObjective> objectives_of(const ConfigTree& tree,
                                         const PlanSearchSpec& search,
                                         std::vector<Diagnostic>& mistakes) {
  std::vector<PlanObjective> objectives;
  const auto report = [&](std::string message) {
    Diagnostic mistake = mistake_at_value(*tree.find("search.objectives"), std::move(message));
    mistake.hint = "expected " + word_list(kObjectives) + ", or several of them";
    mistakes.push_back(std::move(mistake));
  };
  for (const std::string& word : search.objectives) {
    const auto* const found = std::find(std::begin(kObjectives), std::end(kObjectives), word);
    if (found == std::end(kObjectives)) {
      report(quoted_text(word) + " is no objective");
      continue;
    }
    const auto objective = static_cast<PlanObjective>(found - std::begin(kObjectives));
    if (std::find(objectives.begin(), objectives.end(), objective) == objectives.end()) {
      objectives.push_back(objective);
    }
  }
  if (search.objectives.empty()) {
    report("an empty list");
  }
  return objectives;
}

}  // namespace

PlanFile read_plan(const fs::path& file) {
  const ConfigTree tree = parse_toml_items(read_file(file), file.string());
  PlanFile plan;
  std::vector<Diagnostic> mistakes = read_tables(tree, file.string(), [&](FieldVisitor& visitor) {
    Fields fields(visitor);
    limit_fields(fields, plan.budget);
    search_fields(fields, plan.search);
  });
  plan.objectives = objectives_of(tree, plan.search, mistakes);
  const auto& chosen = plan.objectives;
  if (mistakes.empty() &&
      std::find(chosen.begin(), chosen.end(), plan.search.choose) == chosen.end()) {
    const ConfigEntry* entry = tree.find("search.choose");
    entry = entry == nullptr ? tree.find("search.objectives") : entry;
    mistakes.push_back(
        mistake_at_value(*entry,
                         fmt::format("\"{}\" is not among search.objectives",
                                     kObjectives[static_cast<std::size_t>(plan.search.choose)])));
    mistakes.back().key = "search.choose";
  }
  try {
    plan.study = read_study(file, tree, {"limits", "search"});
  } catch (const UserError& error) {
    mistakes.insert(mistakes.end(), error.diagnostics().begin(), error.diagnostics().end());
  }
  if (!mistakes.empty()) {
    std::stable_sort(mistakes.begin(), mistakes.end(), [](const auto& a, const auto& b) {
      return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
    });
    throw UserError(std::move(mistakes));
  }
  return plan;
}

}  // namespace moesim
