// SPDX-License-Identifier: Apache-2.0
// JSON lines: a header row with provenance, a row per request, a row per token with the experts of
// every layer. Rows of other types, such as KV cache events, pass unread. Rows are spooled:
// requests served at the same time come mixed.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <utility>

#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/mapped_text.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/moe/traces/row_streams.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// A request: its tokens are the rows of the stream of its number.
struct Request {
  std::string id;
  std::int64_t tokens = 0;
};

class JsonLines {
 public:
  JsonLines(const fs::path& path, const ImportOptions& options) : path_(path), options_(options) {}

  void read(std::string_view text) {
    PaceCounter bytes(options_.pace, "reading", text.size(), kReadBetween);
    while (!text.empty()) {
      const std::string_view line = next_line(text);
      bytes.add(line.size() + 1);
      ++line_;
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
        read_line(line);
      }
    }
    if (requests_.empty()) {
      refuse(path_, "no rows with routing of the phase that is kept");
    }
  }

  [[nodiscard]] Dump dump() {
    Dump dump{.pack = {}, .form = "JSON lines", .model_layers = layers_, .dropped = {}};
    PackHeader& header = dump.pack.header;
    header = header_of(options_);
    header.model = header.model.empty() ? model_ : header.model;
    header.top_k = static_cast<int>(slots_);
    header.layers = static_cast<int>(layers_.size());
    header.first_moe_layer = static_cast<int>(layers_.front());
    if (header.phase == "unknown") {
      header.phase = phases_.size() == 1 ? phases_.front() : "full_sequence";
    }
    header.experts = experts();
    gather_requests(dump.pack);
    return dump;
  }

 private:
  [[noreturn]] void refuse_line(std::string message) const {
    Diagnostic found = mistake(path_, std::move(message));
    found.place.line = line_;
    found.place.column = 1;
    throw UserError(std::vector<Diagnostic>{std::move(found)});
  }

  [[nodiscard]] Json parsed(std::string_view line) const {
    if (line.size() > kMostLine) {
      refuse_line(fmt::format("more than {} bytes in a line", kMostLine));
    }
    Json row = Json::parse(line, nullptr, false);
    if (!row.is_object()) {
      refuse_line("not a JSON object");
    }
    return row;
  }

  void read_line(std::string_view line) {
    const Json row = parsed(line);
    if (const auto provenance = row.find("provenance"); provenance != row.end()) {
      read_provenance(*provenance);
    } else if (row.contains("routing")) {
      read_routing(row);
    }
  }

  void read_provenance(const Json& provenance) {
    if (!provenance.is_object()) {
      refuse_line("provenance: expected an object");
    }
    if (const auto model = provenance.find("model_id");
        model != provenance.end() && model->is_string()) {
      model_ = model->get<std::string>();
    }
    if (const auto experts = provenance.find("expert_count"); experts != provenance.end()) {
      experts_ = static_cast<int>(whole(*experts, "expert_count", kMostExperts));
    }
  }

  [[nodiscard]] std::int64_t whole(const Json& value, std::string_view name, int most) const {
    if (!value.is_number_integer() || value < -1 || value > most) {
      refuse_line(fmt::format("{}: expected a whole number up to {}", name, most));
    }
    return value.get<std::int64_t>();
  }

  [[nodiscard]] const Json& member(const Json& object, const char* name) const {
    const auto found = object.is_object() ? object.find(name) : object.end();
    if (!object.is_object() || found == object.end()) {
      refuse_line(fmt::format("no \"{}\"", name));
    }
    return *found;
  }

  [[nodiscard]] std::string text(const Json& row, const char* name) const {
    const Json& value = member(row, name);
    if (!value.is_string()) {
      refuse_line(fmt::format("{}: expected a string", name));
    }
    return value.get<std::string>();
  }

  void read_routing(const Json& row) {
    const std::string phase = text(row, "phase");
    if (!options_.keep_phase.empty() && phase != options_.keep_phase) {
      return;
    }
    if (std::find(phases_.begin(), phases_.end(), phase) == phases_.end()) {
      phases_.push_back(phase);
    }
    const std::string id = text(row, "request_id");
    const Json& routing = member(row, "routing");
    if (!routing.is_array() || routing.empty()) {
      refuse_line("routing: expected a list with an object for every layer");
    }
    learn_layers(routing);
    if (routing.size() != layers_.size()) {
      refuse_line(
          fmt::format("routing: {} layers, the first row had {}", routing.size(), layers_.size()));
    }
    experts_of_row_.clear();
    weights_of_row_.clear();
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      read_layer(routing[i], i);
    }
    keep_row(id);
  }

  void keep_row(const std::string& id) {
    const auto [number, fresh] = number_of_.try_emplace(id, requests_.size());
    if (fresh) {
      requests_.push_back({.id = id, .tokens = 0});
    }
    ++requests_[number->second].tokens;
    if (!ids_) {
      ids_.emplace(options_.scratch, experts_of_row_.size() * sizeof(std::int32_t));
      weights_.emplace(options_.scratch, experts_of_row_.size() * sizeof(float));
    }
    ids_->append(number->second, std::as_bytes(std::span(experts_of_row_)));
    weights_->append(number->second, std::as_bytes(std::span(weights_of_row_)));
  }

  /// The first row fixes the layers and how many experts a token has.
  void learn_layers(const Json& routing) {
    if (!layers_.empty()) {
      return;
    }
    constexpr int kMostLayer = 1'000'000;
    for (const Json& layer : routing) {
      layers_.push_back(whole(member(layer, "layer_index"), "layer_index", kMostLayer));
    }
    const Json& experts = member(routing[0], "expert_ids");
    slots_ = experts.is_array() ? experts.size() : 0;
    has_weights_ = routing[0].contains("gate_weights");
  }

  void read_layer(const Json& layer, std::size_t i) {
    constexpr int kMostLayer = 1'000'000;
    const std::int64_t index = whole(member(layer, "layer_index"), "layer_index", kMostLayer);
    if (index != layers_[i]) {
      refuse_line(
          fmt::format("layer_index: {}; expected {} as in the first row", index, layers_[i]));
    }
    const Json& experts = member(layer, "expert_ids");
    if (!experts.is_array() || experts.size() != slots_ || slots_ == 0) {
      refuse_line(fmt::format("expert_ids: expected a list of {} experts", slots_));
    }
    for (const Json& expert : experts) {
      experts_of_row_.push_back(static_cast<std::int32_t>(whole(expert, "expert_ids", INT32_MAX)));
    }
    if (has_weights_ != layer.contains("gate_weights")) {
      refuse_line("gate_weights: in some layers or rows only");
    }
    if (has_weights_) {
      read_weights(layer["gate_weights"]);
    }
  }

  void read_weights(const Json& weights) {
    if (!weights.is_array() || weights.size() != slots_) {
      refuse_line(fmt::format("gate_weights: expected a list of {} numbers", slots_));
    }
    for (const Json& weight : weights) {
      if (!weight.is_number() || weight < 0.0) {
        refuse_line("gate_weights: expected numbers >= 0");
      }
      weights_of_row_.push_back(weight.get<float>());
    }
  }

  [[nodiscard]] int experts() const {
    if (experts_) {
      check_agrees(path_, options_.experts, "experts", *experts_);
      return *experts_;
    }
    return required(path_, options_.experts, "experts", "as the file does not say it");
  }

  void gather_requests(RoutePack& pack) {
    std::vector<RowStreams::Place> places;
    std::int64_t tokens = 0;
    for (const Request& request : requests_) {
      places.push_back({.first = tokens});
      pack.sequences.push_back({.row_start = tokens,
                                .rows = request.tokens,
                                .domain = options_.domain,
                                .source = request.id});
      tokens += request.tokens;
    }
    const std::vector<std::int64_t> shape = {
        tokens, static_cast<std::int64_t>(layers_.size()), static_cast<std::int64_t>(slots_)};
    pack.topk = ids_->arranged(NumberType::kI4, shape, places, options_.pace);
    if (has_weights_) {
      pack.weights = weights_->arranged(NumberType::kF4, shape, places, options_.pace);
    }
  }

  const fs::path& path_;
  const ImportOptions& options_;
  int line_ = 0;
  std::string model_;
  std::optional<int> experts_;
  std::vector<std::int64_t> layers_;
  std::size_t slots_ = 0;
  bool has_weights_ = false;
  std::vector<std::string> phases_;
  std::vector<std::int32_t> experts_of_row_;  ///< [layer, slot]
  std::vector<float> weights_of_row_;         ///< the same, or empty
  std::vector<Request> requests_;             ///< in order of their first rows
  std::map<std::string, std::size_t> number_of_;
  std::optional<RowStreams> ids_;
  std::optional<RowStreams> weights_;
};

}  // namespace

Dump read_json_lines(const fs::path& input, const ImportOptions& options) {
  const MappedText file(input, options.scratch, options.pace);
  JsonLines lines(input, options);
  lines.read(file.text());
  Dump dump = lines.dump();
  check_agrees(input, options.top_k, "top_k", dump.pack.header.top_k);
  return dump;
}

}  // namespace moesim::traces
