// SPDX-License-Identifier: Apache-2.0
// The keys of [price], and what must hold between them.
#include "sim/scenario/cross_checker.hpp"
#include "sim/scenario/field_access.hpp"
#include "sim/scenario/step_keys.hpp"

namespace moesim {
namespace {

constexpr std::string_view kBases[] = {"example", "assumed", "quoted"};

/// Money is of whole models.
bool has_price(StepKind kind) {
  return kind != StepKind::kMoeLayers;
}

}  // namespace

void price_fields(Fields& f, PriceSpec& p) {
  f.begin(optional("price"));
  f.text(required("source"), p.source);
  f.word(required("basis"), p.basis, kBases);
  f.not_negative(optional("gpu_purchase"), p.gpu_purchase);
  f.not_negative(optional("node_purchase"), p.node_purchase);
  f.not_negative(optional("nic_purchase"), p.nic_purchase);
  f.not_negative(optional("switch_purchase"), p.switch_purchase);
  f.not_negative(optional("cable_purchase"), p.cable_purchase);
  f.number(optional("depreciation_years"), p.depreciation_years, NumberRange::kPositive);
  f.number(optional("upkeep_per_year"), p.upkeep_per_year, NumberRange::kNotNegative);
  f.not_negative(optional("gpu_busy"), p.gpu_busy);
  f.not_negative(optional("gpu_idle"), p.gpu_idle);
  f.not_negative(optional("node_power"), p.node_power);
  f.not_negative(optional("switch_power"), p.switch_power);
  f.number(optional("pue"), p.pue, NumberRange::kPositive);
  f.not_negative(optional("electricity"), p.electricity);
  f.not_negative(optional("gpu_rent"), p.gpu_rent);
  f.number(optional("utilisation"), p.utilisation, NumberRange::kFraction);
  f.number(optional("training_tokens"), p.training_tokens, NumberRange::kNotNegative);
  f.end();
}

bool price_key_has_no_effect(std::string_view path, const Scenario& s) {
  const bool is_of_price = path == "price" || path.starts_with("price.");
  const bool is_idle = !s.price.is_stated() || !has_price(s.step.kind);
  return is_of_price &&
         (is_idle || (path == "price.training_tokens" && s.step.kind != StepKind::kTrain) ||
          (path == "price.utilisation" && s.step.kind == StepKind::kServing));
}

void check_price(CrossChecker& c, const Scenario& s) {
  const PriceSpec& p = s.price;
  if (!c.given("price")) {
    return;
  }
  const std::string kind(step_kind_words()[static_cast<std::size_t>(s.step.kind)]);
  const std::string because = fmt::format("has no effect with {}", c.other("step.kind", kind));
  if (!has_price(s.step.kind)) {
    c.check(true, "price", {"step.kind"}, because);
    return;
  }
  c.check(c.given("price.training_tokens") && s.step.kind != StepKind::kTrain,
          "price.training_tokens",
          {"step.kind"},
          because);
  c.check(c.given("price.utilisation") && s.step.kind == StepKind::kServing &&
              !c.stands_beside("price.utilisation", "price.source", "price.preset"),
          "price.utilisation",
          {"step.kind"},
          fmt::format("{}, whose run says how busy it is", because));
  c.check(p.pue < 1, "price.pue", {"price"}, fmt::format("{} is below 1", p.pue));
  c.check(p.gpu_idle > p.gpu_busy,
          "price.gpu_idle",
          {"price.gpu_busy"},
          fmt::format("{} is more than {}",
                      to_text(p.gpu_idle),
                      c.other("price.gpu_busy", to_text(p.gpu_busy))));
  c.check(p.is_stated() && !p.is_owned() && !p.is_rented(),
          "price",
          {"price.gpu_purchase", "price.gpu_rent"},
          "neither price.gpu_purchase nor price.gpu_rent is above 0");
}

}  // namespace moesim
