// SPDX-License-Identifier: Apache-2.0
// What the charts of a serving page need beyond its report: how the times of requests are spread,
// the state over time, and single requests.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "sim/report/page.hpp"
#include "sim/report/serving_report.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

std::vector<const ServedRequest*> counted(const ServingReport& report) {
  std::vector<const ServedRequest*> found;
  for (const ServedRequest& request : report.run.requests) {
    if (request.done && request.arrival.to_seconds() >= report.spec.warm_up) {
      found.push_back(&request);
    }
  }
  return found;
}

/// At most kMostQuantiles of the values, by nearest rank, evenly spaced; the last is the largest.
Json quantiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t shown = std::min(values.size(), kMostQuantiles);
  Json json = Json::array();
  for (std::size_t i = 1; i <= shown; ++i) {
    json.push_back(values[(i * values.size() + shown - 1) / shown - 1]);
  }
  return json;
}

Json quantiles_json(const std::vector<const ServedRequest*>& requests) {
  std::vector<double> queue;
  std::vector<double> ttft;
  std::vector<double> tpot;
  std::vector<double> latency;
  for (const ServedRequest* request : requests) {
    const RequestTimes times = times_of(*request);
    queue.push_back(times.queue);
    ttft.push_back(times.ttft);
    latency.push_back(times.latency);
    if (times.tpot) {
      tpot.push_back(*times.tpot);
    }
  }
  return {{"ttft_s", quantiles(std::move(ttft))},
          {"tpot_s", quantiles(std::move(tpot))},
          {"latency_s", quantiles(std::move(latency))},
          {"queue_s", quantiles(std::move(queue))}};
}

/// Intervals as columns, `block` of them to a row: sums of counts, means over time of states.
Json series_json(const std::vector<SeriesRow>& rows) {
  const std::size_t block = (rows.size() + kMostIntervals - 1) / kMostIntervals;
  Json json = {{"intervals_per_row", block}};
  for (const char* column : {"start_s",
                             "seconds",
                             "arrivals",
                             "finished",
                             "waiting",
                             "running",
                             "kv_ratio",
                             "busy_ratio",
                             "prefill_tokens",
                             "output_tokens"}) {
    json[column] = Json::array();
  }
  for (std::size_t first = 0; first < rows.size(); first += block) {
    SeriesRow sum;
    for (std::size_t i = first; i < std::min(rows.size(), first + block); ++i) {
      const SeriesRow& row = rows[i];
      sum.seconds += row.seconds;
      sum.arrivals += row.arrivals;
      sum.finished += row.finished;
      sum.prefill_tokens += row.prefill_tokens;
      sum.output_tokens += row.output_tokens;
      sum.waiting += row.waiting * row.seconds;
      sum.running += row.running * row.seconds;
      sum.kv_ratio += row.kv_ratio * row.seconds;
      sum.busy_ratio += row.busy_ratio * row.seconds;
    }
    const double over = sum.seconds > 0 ? sum.seconds : 1;
    json["start_s"].push_back(rows[first].start_s);
    json["seconds"].push_back(sum.seconds);
    json["arrivals"].push_back(sum.arrivals);
    json["finished"].push_back(sum.finished);
    json["waiting"].push_back(sum.waiting / over);
    json["running"].push_back(sum.running / over);
    json["kv_ratio"].push_back(sum.kv_ratio / over);
    json["busy_ratio"].push_back(sum.busy_ratio / over);
    json["prefill_tokens"].push_back(sum.prefill_tokens);
    json["output_tokens"].push_back(sum.output_tokens);
  }
  return json;
}

/// Every n-th counted request, at most kMostRequests.
Json requests_json(const ServingReport& report, const std::vector<const ServedRequest*>& requests) {
  const std::size_t stride =
      std::max<std::size_t>(1, (requests.size() + kMostRequests - 1) / kMostRequests);
  Json shown = Json::array();
  for (std::size_t i = 0; i < requests.size(); i += stride) {
    const RequestTimes times = times_of(*requests[i]);
    shown.push_back({{"arrival_s", requests[i]->arrival.to_seconds().value},
                     {"prompt_tokens", requests[i]->request.prompt_tokens},
                     {"output_tokens", requests[i]->request.output_tokens},
                     {"ttft_s", times.ttft},
                     {"latency_s", times.latency},
                     {"within_slo", meets_slo(*requests[i], report.spec)}});
  }
  return {{"every", stride}, {"requests", shown}};
}

}  // namespace

Json serving_page_extra(const ServingReport& report) {
  const std::vector<const ServedRequest*> requests = counted(report);
  return {{"quantiles", quantiles_json(requests)},
          {"series", series_json(series_rows(report))},
          {"sample", requests_json(report, requests)}};
}

std::string serving_page_html(const ServingReport& report) {
  return has_page() ? page_html(Json::parse(serving_json(report)), serving_page_extra(report)) : "";
}

}  // namespace moesim
