// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/raw_file.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "sim/calibrate/collective.hpp"
#include "sim/calibrate/predict_experts.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::calibrate {
namespace {

using nlohmann::json;

constexpr int kSchema = 1;
constexpr std::int64_t kMostCount = std::int64_t{1} << 40;

/// One line of the file.
struct Line {
  const std::filesystem::path& path;
  int number = 0;
  json fields;

  [[noreturn]] void refuse(std::string message) const {
    traces::refuse_line(path, number, std::move(message));
  }
  /// The field at `name`, "input.rows"; missing ones are a mistake.
  [[nodiscard]] const json& at(const std::string& name) const {
    const json* found = &fields;
    for (std::size_t from = 0; from <= name.size();) {
      const std::size_t end = std::min(name.find('.', from), name.size());
      const auto next =
          found->is_object() ? found->find(name.substr(from, end - from)) : json::const_iterator{};
      if (!found->is_object() || next == found->end()) {
        refuse(name + ": missing");
      }
      found = &*next;
      from = end + 1;
    }
    return *found;
  }
  [[nodiscard]] std::string text(const std::string& name) const {
    const json& value = at(name);
    if (!value.is_string()) {
      refuse(name + ": not a text");
    }
    return value.get<std::string>();
  }
  [[nodiscard]] double number_at(const std::string& name) const {
    const json& value = at(name);
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() <= 0) {
      refuse(name + ": not a number above 0");
    }
    return value.get<double>();
  }
  [[nodiscard]] int count(const std::string& name) const {
    const json& value = at(name);
    if (!value.is_number_integer() || value.get<std::int64_t>() < 1 ||
        value.get<std::int64_t>() > INT32_MAX) {
      refuse(name + ": not a whole number from 1 to 2^31 - 1");
    }
    return value.get<int>();
  }
  /// Adds the whole numbers of a list; `name` is for the message.
  void append(const std::string& name, const json& list, std::vector<std::int64_t>& to) const {
    if (!list.is_array()) {
      refuse(name + ": not a list of whole numbers from 0");
    }
    for (const json& value : list) {
      if (!value.is_number_integer() || value.get<std::int64_t>() < 0 ||
          value.get<std::int64_t>() > kMostCount) {
        refuse(name + ": not a list of whole numbers from 0");
      }
      to.push_back(value.get<std::int64_t>());
    }
  }
  [[nodiscard]] std::vector<std::int64_t> counts(const std::string& name) const {
    std::vector<std::int64_t> list;
    append(name, at(name), list);
    return list;
  }
};

Line parse_line(const std::filesystem::path& path, int number, std::string_view text) {
  Line line{.path = path, .number = number, .fields = json::parse(text, nullptr, false)};
  if (!line.fields.is_object()) {
    line.refuse("not one JSON object");
  }
  if (line.text("format") != "moesim-raw") {
    line.refuse(fmt::format("format: \"{}\" is not moesim-raw", line.text("format")));
  }
  if (line.count("schema") != kSchema) {
    line.refuse(fmt::format("schema: {}; this moesim reads {}", line.count("schema"), kSchema));
  }
  return line;
}

/// The last line of each case, in order of first appearance.
std::vector<Line> last_lines(const std::filesystem::path& path, std::string_view text) {
  std::vector<Line> lines;
  std::map<std::string, std::size_t> index;
  int number = 0;
  for (std::size_t at = 0; text.find('\n', at) != std::string_view::npos;) {
    const std::size_t end = text.find('\n', at);
    ++number;
    if (end > at) {
      Line line = parse_line(path, number, text.substr(at, end - at));
      const auto [found, is_new] = index.try_emplace(line.text("case"), lines.size());
      if (is_new) {
        lines.push_back(std::move(line));
      } else {
        lines[found->second].number = number;
        lines[found->second].fields = std::move(line.fields);
      }
    }
    at = end + 1;
  }
  return lines;
}

/// Why a line tells no cost model anything, or nothing.
std::optional<std::string> reason_to_skip(const Line& line, const Hardware& hardware) {
  const std::string kind = line.text("kind");
  const bool timed = kind == "grouped_gemm" || kind == "layer";
  if (!timed && kind != "collective") {
    return "kinds that no cost model is fitted to";
  }
  if (!hardware.is_gpu(line.text("device.name"))) {
    return "another GPU";
  }
  if (line.fields.contains("skipped")) {
    return "cases that could not run on the device";
  }
  if (timed && line.text("input.pass") != "forward") {
    return "backward passes: no cost model of theirs";
  }
  if (timed && line.text("l2") != "cold") {
    return "warm L2";
  }
  return std::nullopt;
}

Dtype dtype_of(const Line& line) {
  const std::string dtype = line.text("input.dtype");
  if (dtype != "bf16" && dtype != "fp8") {
    line.refuse(fmt::format("input.dtype: \"{}\" is not bf16 or fp8", dtype));
  }
  return dtype == "fp8" ? Dtype::kFp8 : Dtype::kBf16;
}

std::string source_of(const Line& line) {
  return fmt::format("moesim measure {} on {}, driver {}",
                     line.text("moesim.version"),
                     line.text("device.name"),
                     line.text("device.driver"));
}

/// What grouped GEMMs and layers have in common; hidden and width are the caller's.
Point expert_point(const Line& line, Dtype dtype, const std::vector<std::int64_t>& counts) {
  Point point;
  point.family = KernelFamily::kExperts;
  point.weights = to_text(dtype);
  point.kernel = "cublas_" + point.weights;
  point.place = fmt::format("{}:{}", line.path.string(), line.number);
  point.source = source_of(line);
  point.label = line.text("case");
  point.rows = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  point.slots = static_cast<double>(counts.size());
  point.ep = static_cast<int>(counts.size());
  point.size = point.rows;
  if (counts.empty() || point.rows <= 0) {
    line.refuse("input.counts: no rows");
  }
  return point;
}

void read_grouped_gemm(const Line& line, Hardware& hardware, Reading& reading) {
  GemmWork work{.gpu = hardware.spec().gpu,
                .rows = line.counts("input.counts"),
                .columns = line.count("input.columns"),
                .inner = line.count("input.inner"),
                .weights = dtype_of(line)};
  Point point = expert_point(line, work.weights, work.rows);
  const std::string projection = line.text("input.projection");
  const bool gate_up = projection == "gate_up";
  if (!gate_up && projection != "down") {
    line.refuse(fmt::format("input.projection: \"{}\" is not gate_up or down", projection));
  }
  point.shape = line.text("input.model") + " " + projection;
  point.hidden = static_cast<double>(gate_up ? work.inner : work.columns);
  point.width = static_cast<double>(gate_up ? work.columns / 2 : work.inner);
  point.measured = seconds(line.number_at("time.median_s"));
  point.predict = [work = std::make_shared<const GemmWork>(std::move(work))](
                      const CostConstants& c) { return predict_gemm(*work, c); };
  reading.points.push_back(std::move(point));
}

/// gate+up, activation and down of a layer: its experts without the rows' way there and back.
void read_layer(const Line& line, Hardware& hardware, Reading& reading) {
  const Dtype dtype = dtype_of(line);
  ExpertWork work;
  work.gpu = hardware.spec().gpu;
  work.loads = {line.counts("input.counts")};
  work.model = operator_shape(line.count("input.hidden"),
                              line.count("input.width"),
                              line.count("input.experts"),
                              line.count("input.top_k"),
                              dtype == Dtype::kFp8);
  Point point = expert_point(line, dtype, work.loads.front());
  point.shape = line.text("input.model") + " layer";
  point.hidden = work.model.hidden_size;
  point.width = work.model.expert_width;
  point.measured =
      seconds(line.number_at("extra.stages_s.gate_up") +
              line.number_at("extra.stages_s.activation") + line.number_at("extra.stages_s.down"));
  point.predict = [work = std::make_shared<const ExpertWork>(std::move(work))](CostConstants c) {
    c.expert_gather = false;
    return predict_experts(*work, c);
  };
  reading.points.push_back(std::move(point));
}

void read_collective(const Line& line, Hardware& hardware, Reading& reading) {
  const std::string op = line.text("input.op");
  AllToAll all{.place = fmt::format("{}:{}", line.path.string(), line.number),
               .source = source_of(line),
               .ranks = line.count("input.ranks"),
               .bytes = line.number_at("input.bytes"),
               .time = seconds(line.number_at("time.median_s")),
               .send_bytes = {}};
  if (op != "all_to_all" && op != "all_to_all_v") {
    ++reading.skipped["a collective other than all-to-all"];
  } else if (all.ranks < 2 || all.ranks > kMostRanks) {
    ++reading.skipped[fmt::format("fewer than 2 or more than {} ranks", kMostRanks)];
  } else if (all.bytes < kSmallestCollective) {
    ++reading.skipped[kTooSmallCollective];
  } else {
    if (op == "all_to_all_v") {
      for (const json& row : line.at("input.send_bytes")) {
        line.append("input.send_bytes", row, all.send_bytes);
      }
      if (all.send_bytes.size() !=
          static_cast<std::size_t>(all.ranks) * static_cast<std::size_t>(all.ranks)) {
        line.refuse(fmt::format(
            "input.send_bytes: {} numbers for {} ranks", all.send_bytes.size(), all.ranks));
      }
    }
    reading.points.push_back(all_to_all_point(hardware, all));
  }
}

}  // namespace

bool is_raw_file(std::string_view text) {
  return text.starts_with('{');
}

void read_raw_file(const std::filesystem::path& path,
                   std::string_view text,
                   Hardware& hardware,
                   Reading& reading) {
  for (const Line& line : last_lines(path, text)) {
    if (const auto reason = reason_to_skip(line, hardware)) {
      ++reading.skipped[*reason];
    } else if (line.text("kind") == "grouped_gemm") {
      read_grouped_gemm(line, hardware, reading);
    } else if (line.text("kind") == "layer") {
      read_layer(line, hardware, reading);
    } else {
      read_collective(line, hardware, reading);
    }
  }
}

}  // namespace moesim::calibrate
