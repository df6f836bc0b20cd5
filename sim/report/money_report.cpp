// SPDX-License-Identifier: Apache-2.0
#include "sim/report/money_report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "sim/report/table.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

/// Three significant digits of a number that may be far below one.
std::string significant(double value) {
  return value >= 1 || value <= 0 ? three_digits(value) : fmt::format("{:.3g}", value);
}

/// "12.3 kUSD": in thousands and millions.
std::string scaled(double value, const char* unit) {
  const double thousand = 999.5;
  if (value < thousand) {
    return fmt::format("{} {}", significant(value), unit);
  }
  const bool millions = value >= thousand * 1e3;
  return fmt::format(
      "{} {}{}", three_digits(value / (millions ? 1e6 : 1e3)), millions ? "M" : "k", unit);
}

std::string token_words(const std::string& kind) {
  return kind == "decode" ? "generated" : kind == "prefill" ? "prompt" : "trained";
}

std::string pieces(const Equipment& e) {
  return fmt::format(
      "{:.0f} GPUs in {:.0f} node(s), {:.3g} NICs, {:.3g} switch ports, {:.3g} cables",
      e.gpus,
      e.nodes,
      e.nics,
      e.switch_ports,
      e.cables);
}

std::vector<std::string> cost_row(const std::string& name,
                                  const MoneyReport& r,
                                  DollarsPerHour hourly,
                                  double tokens_per_s) {
  return {name,
          readable_dollars(hourly.value),
          readable_dollars(hourly.value / r.equipment.gpus),
          readable_dollars(per_million_tokens(r.price, hourly, tokens_per_s).value)};
}

std::string run_lines(const MoneyReport& r, double tokens_per_s) {
  if (r.price.training_tokens <= 0) {
    return "";
  }
  const RunCost run = cost_of_run(r.price, r.running, tokens_per_s);
  std::string text = fmt::format("run over {:.3g} tokens: {} days, {} MWh",
                                 r.price.training_tokens,
                                 significant(run.hours / 24),
                                 significant(run.kilowatt_hours / 1000));
  if (run.owned) {
    text += fmt::format("; {} owned", readable_dollars(run.owned->value));
  }
  if (run.rented) {
    text += fmt::format("; {} rented", readable_dollars(run.rented->value));
  }
  return wrapped(text);
}

template <typename T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(value->value) : Json(nullptr);
}

Json per_million(const MoneyReport& r,
                 const std::optional<DollarsPerHour>& hourly,
                 double tokens_per_s) {
  return hourly ? Json(per_million_tokens(r.price, *hourly, tokens_per_s).value) : Json(nullptr);
}

}  // namespace

std::string readable_dollars(double dollars) {
  return scaled(dollars, "USD");
}

std::string readable_power(double watts) {
  return scaled(watts, "W");
}

MoneyReport money_report(const PriceSpec& price, const Cluster& cluster, std::int64_t gpus) {
  MoneyReport report;
  report.price = price;
  report.equipment = equipment_of(cluster, gpus);
  report.running = running_cost(price, report.equipment);
  return report;
}

std::string money_text(const MoneyReport& r, double tokens_per_s, const std::string& kind) {
  std::vector<std::vector<std::string>> rows;
  if (r.running.owned) {
    rows.push_back(cost_row("owned", r, *r.running.owned, tokens_per_s));
  }
  if (r.running.rented) {
    rows.push_back(cost_row("rented", r, *r.running.rented, tokens_per_s));
  }
  std::string text = table({"cost",
                            "an hour",
                            "a GPU and hour",
                            fmt::format("a million {} tokens", token_words(kind))},
                           rows) +
                     run_lines(r, tokens_per_s);
  std::string hardware = "hardware: " + pieces(r.equipment);
  if (r.running.owned) {
    hardware += fmt::format("; {} to buy", readable_dollars(r.running.purchase.value));
  }
  text += wrapped(hardware);
  if (const auto rate = tokens_per_joule(r.price, r.running, tokens_per_s)) {
    text += fmt::format("power: {}, {} tokens a joule\n",
                        readable_power(r.running.power.value),
                        significant(*rate));
  }
  return text + wrapped(fmt::format("prices: {} ({}), in use {:.4g} % of the time",
                                    to_text(r.price.basis),
                                    r.price.source,
                                    100 * r.price.utilisation));
}

Json money_json(const MoneyReport& r, double tokens_per_s) {
  const std::optional<double> rate = tokens_per_joule(r.price, r.running, tokens_per_s);
  Json json = {{"basis", to_text(r.price.basis)},
               {"source", r.price.source},
               {"gpus", r.equipment.gpus},
               {"nodes", r.equipment.nodes},
               {"nics", r.equipment.nics},
               {"switch_ports", r.equipment.switch_ports},
               {"cables", r.equipment.cables},
               {"purchase_usd", r.running.purchase.value},
               {"depreciation_usd_per_h", r.running.depreciation.value},
               {"upkeep_usd_per_h", r.running.upkeep.value},
               {"energy_usd_per_h", r.running.energy.value},
               {"owned_usd_per_h", value_or_null(r.running.owned)},
               {"rented_usd_per_h", value_or_null(r.running.rented)},
               {"owned_usd_per_million_tokens", per_million(r, r.running.owned, tokens_per_s)},
               {"rented_usd_per_million_tokens", per_million(r, r.running.rented, tokens_per_s)},
               {"power_w", r.running.power.value},
               {"tokens_per_joule", rate ? Json(*rate) : Json(nullptr)},
               {"utilisation_ratio", r.price.utilisation}};
  if (r.price.training_tokens > 0) {
    const RunCost run = cost_of_run(r.price, r.running, tokens_per_s);
    json["run"] = {{"tokens", r.price.training_tokens},
                   {"hours", run.hours},
                   {"energy_kwh", run.kilowatt_hours},
                   {"owned_usd", value_or_null(run.owned)},
                   {"rented_usd", value_or_null(run.rented)}};
  }
  return json;
}

}  // namespace moesim
