// SPDX-License-Identifier: Apache-2.0
#include "sim/report/page.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "sim/report/json_report.hpp"
#include "sim/report/page_parts.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

/// JSON that may stand in a script element: no text in it can end the element.
std::string script_text(const Json& document) {
  const std::string json = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string text;
  text.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      text += "\\u003c";
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace

bool has_page() {
  return !page_parts().head.empty();
}

std::string page_html(const Json& report, const Json& extra) {
  const PageParts parts = page_parts();
  if (parts.head.empty()) {
    return "";
  }
  std::string html(parts.head);
  html += script_text({{"report", report}, {"extra", extra}});
  html += parts.tail;
  return html;
}

std::string page_html(std::string_view report_json) {
  return has_page() ? page_html(Json::parse(report_json), Json(nullptr)) : "";
}

std::string plan_page_html(const PlanReport& report) {
  if (!has_page()) {
    return "";
  }
  Json json = Json::parse(plan_json(report));
  Json& rows = json["configurations"];
  const std::size_t all = rows.size();
  if (all > kMostPagePoints) {
    auto& list = rows.get_ref<Json::array_t&>();
    std::stable_partition(
        list.begin(), list.end(), [](const Json& row) { return row.contains("score"); });
    list.resize(kMostPagePoints);
  }
  const std::size_t left_out = all - rows.size();
  return page_html(json, {{"left_out", left_out}});
}

std::string results_page_html(std::string_view results_json) {
  if (!has_page()) {
    return "";
  }
  Json json = Json::parse(results_json);
  auto& points = json["points"].get_ref<Json::array_t&>();
  const std::size_t all = points.size();
  points.resize(std::min(all, kMostPagePoints));
  const std::size_t left_out = all - points.size();
  return page_html(json, {{"left_out", left_out}});
}

std::string comparison_page_html(std::string_view comparison_json) {
  if (!has_page()) {
    return "";
  }
  Json json = Json::parse(comparison_json);
  json["simulated"].erase("steps");
  return page_html(json, nullptr);
}

std::string run_page_html(const RunReport& report, const Counters* over_time) {
  if (!has_page()) {
    return "";
  }
  Json json = run_json(report);
  for (Json& step : json["steps"]) {
    step.erase("layers");
  }
  return page_html(json, run_page_extra(report, over_time));
}

}  // namespace moesim
