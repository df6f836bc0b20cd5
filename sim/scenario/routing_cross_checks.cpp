// SPDX-License-Identifier: Apache-2.0
// Keys of [routing] that contradict others.
#include "sim/core/text.hpp"
#include "sim/scenario/cross_checker.hpp"
#include "sim/scenario/fields.hpp"

namespace moesim {
namespace {

/// Tables and keys that only some sources look at.
void check_source(CrossChecker& c, const RoutingSpec& r) {
  const bool from_trace = r.source == RoutingOrigin::kTrace;
  const std::string source =
      c.other("routing.source", routing_origin_words()[static_cast<std::size_t>(r.source)]);
  const auto idle = [&](bool broken, std::string_view path) {
    c.check(broken, path, {"routing.source"}, fmt::format("has no effect with {}", source));
  };
  const bool no_trace = trimmed(r.trace).empty();
  c.check(from_trace && no_trace && c.given("routing"),
          "routing.trace",
          {"routing", "routing.source"},
          fmt::format("missing, but needed by {}", source));
  idle(!from_trace && !no_trace, "routing.trace");
  idle(!from_trace && !r.domains.empty(), "routing.domains");
  const bool learned = r.source == RoutingOrigin::kLearned;
  idle(learned && c.given("routing.draw"), "routing.draw");
  idle(r.source != RoutingOrigin::kGenerated && c.given("routing.generated"), "routing.generated");
  idle(!learned && c.given("routing.learned"), "routing.learned");
}

/// Sigmas up to here keep sums of scores inside 32 bits.
constexpr double kMostSigma = 100.0;

void check_generator_numbers(CrossChecker& c, const GeneratorSpec& g) {
  const std::pair<std::string_view, double> sigmas[] = {
      {"routing.generated.zipf_exponent", g.zipf_exponent},
      {"routing.generated.popularity_sigma", g.popularity_sigma},
      {"routing.generated.cold_drop", g.cold_drop},
      {"routing.generated.domain_sigma", g.domain_sigma},
      {"routing.generated.request_sigma", g.request_sigma},
      {"routing.generated.token_sigma", g.token_sigma},
      {"routing.generated.weight_scale", g.weight_scale}};
  for (const auto& [path, sigma] : sigmas) {
    c.check(sigma > kMostSigma, path, {}, fmt::format("{} is more than {}", sigma, kMostSigma));
  }
  c.check(g.cold_share > 1.0,
          "routing.generated.cold_share",
          {},
          fmt::format("{} is more than 1", g.cold_share));
  c.check(g.token_correlation >= 1.0,
          "routing.generated.token_correlation",
          {},
          fmt::format("{} is not below 1", g.token_correlation));
}

void check_generator(CrossChecker& c, const Scenario& s) {
  const GeneratorSpec& g = s.routing.generated;
  check_generator_numbers(c, g);
  const std::string experts = c.other("model.num_experts", s.model.num_experts);
  c.check(
      g.experts > 0 && g.experts != s.model.num_experts,
      "routing.generated.experts",
      {"model.num_experts"},
      fmt::format("fitted for {}, but {}; set it to 0 to use it all the same", g.experts, experts));
  c.check(g.top_k > 0 && g.top_k != s.model.top_k,
          "routing.generated.top_k",
          {"model.top_k"},
          fmt::format("fitted for {}, but {}; set it to 0 to use it all the same",
                      g.top_k,
                      c.other("model.top_k", s.model.top_k)));
  c.check(s.model.num_experts % g.groups != 0,
          "routing.generated.groups",
          {"model.num_experts"},
          fmt::format("{} does not divide {}", g.groups, experts));
  c.check(g.top_groups > g.groups,
          "routing.generated.top_groups",
          {"routing.generated.groups"},
          fmt::format(
              "{} is more than {}", g.top_groups, c.other("routing.generated.groups", g.groups)));
  c.check(s.model.num_experts / g.groups * std::int64_t{g.top_groups} < s.model.top_k,
          "routing.generated.top_groups",
          {"routing.generated.groups", "model.num_experts", "model.top_k"},
          fmt::format("{} groups have fewer experts than {}",
                      g.top_groups,
                      c.other("model.top_k", s.model.top_k)));
}

void check_learned(CrossChecker& c, const Scenario& s) {
  const GateTraining& t = s.routing.learned.training;
  constexpr double kMost = 1000.0;
  const std::pair<std::string_view, double> numbers[] = {
      {"routing.learned.common_scale", t.common_scale},
      {"routing.learned.token_scale", t.token_scale},
      {"routing.learned.initial_scale", t.initial_scale},
      {"routing.learned.learning_rate", t.learning_rate},
      {"routing.learned.skill_rate", t.skill_rate},
      {"routing.learned.aux_loss", t.aux_loss},
      {"routing.learned.z_loss", t.z_loss},
      {"routing.learned.noise", t.noise},
      {"routing.learned.bias_rate", t.bias_rate}};
  for (const auto& [path, number] : numbers) {
    c.check(number > kMost, path, {}, fmt::format("{} is more than {}", number, kMost));
  }
  const bool chooses = s.capacity.policy == OverflowPolicy::kExpertChoice;
  c.check(t.expert_choice && !chooses,
          "routing.learned.expert_choice",
          {"capacity.policy"},
          fmt::format("true needs expert_choice in the layer too, not {}",
                      c.other("capacity.policy", to_text(s.capacity.policy))));
  c.check(t.expert_choice && s.model.num_experts > 0 &&
              std::int64_t{t.tokens} * s.model.top_k % s.model.num_experts != 0,
          "routing.learned.tokens",
          {"routing.learned.expert_choice", "model.num_experts", "model.top_k"},
          fmt::format("{} times model.top_k are no equal shares of {}, as expert choice needs",
                      t.tokens,
                      c.other("model.num_experts", s.model.num_experts)));
}

}  // namespace

std::vector<Diagnostic> generator_checks(const ConfigTree& tree, const FieldReading& reading) {
  CrossChecker checker(tree, reading);
  check_generator_numbers(checker, reading.scenario.routing.generated);
  return std::move(checker.found);
}

void check_routing(CrossChecker& checker, const Scenario& scenario) {
  check_source(checker, scenario.routing);
  if (scenario.routing.source == RoutingOrigin::kGenerated) {
    check_generator(checker, scenario);
  } else if (scenario.routing.source == RoutingOrigin::kLearned) {
    check_learned(checker, scenario);
  }
}

}  // namespace moesim
