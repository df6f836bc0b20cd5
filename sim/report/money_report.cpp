// SPDX-License-Identifier: Apache-2.0
#include "sim/report/money_report.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "sim/core/text.hpp"
#include "sim/report/table.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kHoursPerDay = 24;

/// Three significant digits of a number that may be far below one.
std::string significant(double value) {
  return value >= 1 || value <= 0 ? three_digits(value) : fmt::format("{:.3g}", value);
}

/// "12.3 kUSD": in thousands and millions.
std::string scaled(double value, std::string_view unit) {
  const double thousand = 999.5;
  if (value < thousand) {
    return fmt::format("{} {}", significant(value), trimmed(unit));
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
  std::string text = fmt::format("run over {:.3g} tokens: {} days, {}",
                                 r.price.training_tokens,
                                 significant(run.hours / kHoursPerDay),
                                 scaled(run.hours * r.equipment.gpus, " GPU-hours"));
  if (run.kilowatt_hours > 0) {
    text += fmt::format(", {} MWh", significant(run.kilowatt_hours / 1000));
  }
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

/// Prices, hardware, cost an hour and power: what depends on no rate.
Json hardware_json(const MoneyReport& r) {
  return {{"basis", to_text(r.price.basis)},
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
          {"power_w", r.running.power.value},
          {"utilisation_ratio", r.price.utilisation}};
}

std::string hardware_lines(const MoneyReport& r) {
  std::string hardware = "hardware: " + pieces(r.equipment);
  if (r.running.owned) {
    hardware += fmt::format("; {} to buy", readable_dollars(r.running.purchase.value));
  }
  return wrapped(hardware);
}

std::string price_line(const MoneyReport& r, const std::string& use) {
  return wrapped(fmt::format("prices: {} ({}), {}", to_text(r.price.basis), r.price.source, use));
}

std::string dollars_or_dash(const std::optional<Dollars>& sum) {
  return sum ? readable_dollars(sum->value) : "-";
}

/// @param slo  whether good tokens are others than all
std::vector<std::string> serving_row(const std::string& name,
                                     DollarsPerHour hourly,
                                     const ServedLoad& load,
                                     bool slo) {
  const ServingCost cost = serving_cost(hourly, load);
  std::vector<std::string> row = {name,
                                  readable_dollars(hourly.value),
                                  dollars_or_dash(cost.all),
                                  dollars_or_dash(cost.prompt),
                                  dollars_or_dash(cost.output)};
  if (slo) {
    row.push_back(dollars_or_dash(cost.good));
  }
  row.push_back(dollars_or_dash(cost.request));
  return row;
}

std::string pool_line(const std::string& name, DollarsPerHour hourly, const ServedLoad& load) {
  const ServingCost cost = serving_cost(hourly, load);
  return wrapped(fmt::format(
      "{}, divided by groups: {} a million prompt tokens for those that prefill, {} a million "
      "output tokens for those that decode",
      name,
      dollars_or_dash(cost.prefill),
      dollars_or_dash(cost.decode)));
}

Json serving_cost_json(const std::optional<DollarsPerHour>& hourly, const ServedLoad& load) {
  if (!hourly) {
    return nullptr;
  }
  const ServingCost cost = serving_cost(*hourly, load);
  return {{"usd_per_million_tokens", value_or_null(cost.all)},
          {"usd_per_million_prompt_tokens", value_or_null(cost.prompt)},
          {"usd_per_million_output_tokens", value_or_null(cost.output)},
          {"usd_per_million_tokens_within_slo", value_or_null(cost.good)},
          {"usd_per_request", value_or_null(cost.request)},
          {"prefill_usd_per_million_prompt_tokens", value_or_null(cost.prefill)},
          {"decode_usd_per_million_output_tokens", value_or_null(cost.decode)}};
}

/// Tokens over the energy of the stretch; none where no power is stated.
std::optional<double> served_per_joule(const MoneyReport& r, double tokens, double seconds) {
  const double joules = r.running.power.value * seconds;
  return joules > 0 ? std::optional(tokens / joules) : std::nullopt;
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
  text += hardware_lines(r);
  if (const auto rate = tokens_per_joule(r.price, r.running, tokens_per_s)) {
    text += fmt::format("power: {}, {} tokens a joule\n",
                        readable_power(r.running.power.value),
                        significant(*rate));
  }
  return text +
         price_line(r, fmt::format("in use {:.4g} % of the time", 100 * r.price.utilisation));
}

Json money_json(const MoneyReport& r, double tokens_per_s) {
  const std::optional<double> rate = tokens_per_joule(r.price, r.running, tokens_per_s);
  Json json = hardware_json(r);
  json["owned_usd_per_million_tokens"] = per_million(r, r.running.owned, tokens_per_s);
  json["rented_usd_per_million_tokens"] = per_million(r, r.running.rented, tokens_per_s);
  json["tokens_per_joule"] = rate ? Json(*rate) : Json(nullptr);
  if (r.price.training_tokens > 0) {
    const RunCost run = cost_of_run(r.price, r.running, tokens_per_s);
    json["run"] = {{"tokens", r.price.training_tokens},
                   {"hours", run.hours},
                   {"days", run.hours / kHoursPerDay},
                   {"gpu_hours", run.hours * r.equipment.gpus},
                   {"energy_kwh", run.kilowatt_hours},
                   {"owned_usd", value_or_null(run.owned)},
                   {"rented_usd", value_or_null(run.rented)}};
  }
  return json;
}

std::string serving_money_text(const MoneyReport& r, const ServedLoad& load, bool slo) {
  std::vector<std::string> header = {
      "cost", "an hour", "a million tokens", "prompt alone", "output alone"};
  if (slo) {
    header.emplace_back("within SLO");
  }
  header.emplace_back("a request");
  std::vector<std::vector<std::string>> rows;
  std::string pools;
  const auto add = [&](const char* name, const std::optional<DollarsPerHour>& hourly) {
    if (hourly) {
      rows.push_back(serving_row(name, *hourly, load, slo));
      pools += load.prefill_share > 0 ? pool_line(name, *hourly, load) : "";
    }
  };
  add("owned", r.running.owned);
  add("rented", r.running.rented);
  std::string text = table(header, rows) + pools + hardware_lines(r);
  const double all = load.prompt_tokens + load.output_tokens;
  if (const auto rate = served_per_joule(r, all, load.seconds)) {
    text += fmt::format("power: {}, {} tokens a joule ({} output tokens)\n",
                        readable_power(r.running.power.value),
                        significant(*rate),
                        significant(*served_per_joule(r, load.output_tokens, load.seconds)));
  }
  return text + price_line(r, fmt::format("busy {:.4g} % of the time", 100 * r.price.utilisation));
}

Json serving_money_json(const MoneyReport& r, const ServedLoad& load) {
  Json json = hardware_json(r);
  const auto rate = [&](double tokens) {
    const std::optional<double> per_joule = served_per_joule(r, tokens, load.seconds);
    return per_joule ? Json(*per_joule) : Json(nullptr);
  };
  json["tokens_per_joule"] = rate(load.prompt_tokens + load.output_tokens);
  json["output_tokens_per_joule"] = rate(load.output_tokens);
  json["owned"] = serving_cost_json(r.running.owned, load);
  json["rented"] = serving_cost_json(r.running.rented, load);
  return json;
}

}  // namespace moesim
