// SPDX-License-Identifier: Apache-2.0
#include "sim/report/page.hpp"

#include <nlohmann/json.hpp>

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

std::string run_page_html(const RunReport& report) {
  if (!has_page()) {
    return "";
  }
  Json json = run_json(report);
  for (Json& step : json["steps"]) {
    step.erase("layers");
  }
  return page_html(json, run_page_extra(report));
}

}  // namespace moesim
