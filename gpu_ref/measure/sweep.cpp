// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/sweep.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "gpu_ref/measure/estimate.hpp"
#include "gpu_ref/measure/mistake.hpp"
#include "gpu_ref/measure/sweep_parts.hpp"

namespace moesim::measure {
namespace {

/// Drops repeats of a key; the first, which has the lowest tier after sorting, stays.
std::vector<Case> without_repeats(const std::vector<Case>& cases) {
  std::vector<Case> kept;
  std::set<std::string> seen;
  for (const Case& c : cases) {
    if (seen.insert(key_of(c)).second) {
      kept.push_back(c);
    }
  }
  return kept;
}

void check_kinds(const std::vector<std::string>& only) {
  const std::vector<std::string>& known = sweep_kinds();
  for (const std::string& kind : only) {
    if (std::find(known.begin(), known.end(), kind) == known.end()) {
      std::string words = "--only: unknown kind \"";
      words.append(kind).append("\"; known: ");
      for (const std::string& name : known) {
        words.append(&name == &known.front() ? "" : ", ").append(name);
      }
      throw KitMistake(words);
    }
  }
}

}  // namespace

const std::vector<SweepModel>& sweep_models() {
  static const std::vector<SweepModel> kModels = {{"deepseek-v3", 7168, 2048, 256, 8},
                                                  {"deepseek-v2-lite", 2048, 1408, 64, 6},
                                                  {"mixtral-8x7b", 4096, 14336, 8, 2},
                                                  {"qwen3-235b-a22b", 4096, 1536, 128, 8},
                                                  {"qwen3-30b-a3b", 2048, 768, 128, 8},
                                                  {"gpt-oss-120b", 2880, 2880, 128, 4}};
  return kModels;
}

const std::vector<std::string>& sweep_kinds() {
  static const std::vector<std::string> kKinds = {"device",
                                                  "copy",
                                                  "gemm",
                                                  "launch",
                                                  "gate",
                                                  "permute",
                                                  "combine",
                                                  "quantise",
                                                  "activation",
                                                  "grouped_gemm",
                                                  "layer",
                                                  "collective"};
  return kKinds;
}

void add_case(std::vector<Case>& cases, CaseInput input, int tier, L2State l2) {
  Case& c = cases.emplace_back();
  c.input = std::move(input);
  c.l2 = l2;
  c.tier = tier;
}

double total_seconds(const std::vector<Case>& cases) {
  double sum = 0;
  for (const Case& c : cases) {
    sum += c.estimate_s;
  }
  return sum;
}

std::vector<Case> make_sweep(const SweepOptions& options) {
  check_kinds(options.only);
  std::vector<Case> cases;
  add_basics(cases);
  add_row_operations(cases, options);
  add_layers(cases, options);
  add_collectives(cases, options);
  add_grouped_gemms(cases, options);
  std::stable_sort(
      cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.tier < b.tier; });
  cases = without_repeats(cases);
  const std::vector<std::string>& only = options.only;
  std::erase_if(cases, [&](const Case& c) {
    return !only.empty() && std::find(only.begin(), only.end(), kind_of(c)) == only.end();
  });
  for (Case& c : cases) {
    c.estimate_s = estimate_seconds(c);
  }
  return cases;
}

}  // namespace moesim::measure
