// SPDX-License-Identifier: Apache-2.0
// JSON lines with one record for a layer: Megatron-Core's router_trace_rank<r>.jsonl, with the
// experts of many tokens each, and plain ones with those of a token.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <utility>

#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kMostText = std::size_t{1} << 32U;
constexpr std::int64_t kMostLayer = 1'000'000;

/// The tokens of one sequence: by layer, [token, slot].
struct Sequence {
  std::map<std::int64_t, std::vector<std::int64_t>> ids;
  std::int64_t step = 0;
};

class RecordLines {
 public:
  explicit RecordLines(const ImportOptions& options) : options_(options) {}

  void read(const fs::path& path) {
    path_ = path;
    line_ = 0;
    const std::string text = read_text(path, kMostText);
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      ++line_;
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
        read_line(line);
      }
    }
  }

  [[nodiscard]] Dump dump(const fs::path& input) {
    if (order_.empty()) {
      refuse(input, "no records with top_indices, topk or topk_experts");
    }
    Dump dump;
    dump.form = is_megatron_ ? "Megatron router trace" : "JSON lines by layer";
    drop_repeated_ranks(dump);
    if (mtp_records_ > 0) {
      dump.dropped.push_back(
          fmt::format("{} records of multi-token prediction layers", mtp_records_));
    }
    fill(input, dump);
    return dump;
  }

 private:
  [[noreturn]] void refuse_line(std::string message) const {
    Diagnostic found = mistake(path_, std::move(message));
    found.place.line = line_;
    found.place.column = 1;
    throw UserError(std::vector<Diagnostic>{std::move(found)});
  }

  [[nodiscard]] std::int64_t whole(const Json& value, std::string_view name) const {
    if (!value.is_number_integer() || value < -1 || value > INT32_MAX) {
      refuse_line(fmt::format("{}: expected a whole number up to {}", name, INT32_MAX));
    }
    return value.get<std::int64_t>();
  }

  [[nodiscard]] std::int64_t member(const Json& record, const char* name) const {
    const auto found = record.find(name);
    if (found == record.end()) {
      refuse_line(fmt::format("no \"{}\"", name));
    }
    return whole(*found, name);
  }

  void read_line(std::string_view line) {
    const Json record = Json::parse(line, nullptr, false);
    if (!record.is_object()) {
      refuse_line("not a JSON object");
    }
    for (const char* name : {"top_indices", "topk_experts", "topk"}) {
      const auto found = record.find(name);
      if (found != record.end() && found->is_array()) {
        read_record(record, name, *found);
        return;
      }
    }
  }

  void read_record(const Json& record, std::string_view name, const Json& experts) {
    is_megatron_ = is_megatron_ || name == "top_indices";
    if (record.contains("mtp_idx")) {
      ++mtp_records_;
      return;
    }
    const std::int64_t layer = member(record, "layer");
    if (layer < 0 || layer > kMostLayer) {
      refuse_line(fmt::format("layer: {}; expected 0 to {}", layer, kMostLayer));
    }
    Sequence& sequence = sequence_of(record, name);
    std::vector<std::int64_t>& ids = sequence.ids[layer];
    const std::size_t before = ids.size();
    if (!experts.empty() && !experts.front().is_array()) {
      read_token(experts, name, ids);
    } else {
      for (const Json& token : experts) {
        read_token(token, name, ids);
      }
    }
    if (record.contains("num_tokens") && slots_ > 0 &&
        member(record, "num_tokens") != static_cast<std::int64_t>((ids.size() - before) / slots_)) {
      refuse_line(fmt::format("num_tokens: {}; {} has {}",
                              member(record, "num_tokens"),
                              name,
                              (ids.size() - before) / slots_));
    }
  }

  /// Megatron: a rank's tokens of a step; else a request's.
  Sequence& sequence_of(const Json& record, std::string_view name) {
    std::string key = "sequence";
    std::int64_t step = 0;
    if (name == "top_indices") {
      step = member(record, "step");
      key = fmt::format("step {}, rank {}", step, member(record, "rank"));
    } else if (const auto id = record.find("request_id"); id != record.end()) {
      key = id->is_string() ? id->get<std::string>() : id->dump();
    }
    const auto [found, fresh] = sequences_.try_emplace(key);
    if (fresh) {
      found->second.step = step;
      order_.push_back(key);
    }
    return found->second;
  }

  void read_token(const Json& token, std::string_view name, std::vector<std::int64_t>& ids) {
    slots_ = slots_ == 0 && token.is_array() ? token.size() : slots_;
    if (!token.is_array() || token.empty() || token.size() != slots_) {
      refuse_line(fmt::format("{}: expected a list of {} experts", name, slots_));
    }
    for (const Json& expert : token) {
      ids.push_back(whole(expert, name));
    }
  }

  /// Tensor-parallel ranks log the tokens of a step once each.
  void drop_repeated_ranks(Dump& dump) {
    std::vector<std::string> kept;
    std::map<std::int64_t, std::vector<std::string>> by_step;
    for (const std::string& key : order_) {
      const Sequence& sequence = sequences_.at(key);
      std::vector<std::string>& others = by_step[sequence.step];
      const bool repeated =
          is_megatron_ && std::any_of(others.begin(), others.end(), [&](const std::string& other) {
            return sequences_.at(other).ids == sequence.ids;
          });
      if (!repeated) {
        others.push_back(key);
        kept.push_back(key);
      }
    }
    if (kept.size() < order_.size()) {
      dump.dropped.push_back(
          fmt::format("{} ranks' steps that repeat another rank's tokens, as tensor-parallel ranks "
                      "log them",
                      order_.size() - kept.size()));
    }
    order_ = std::move(kept);
  }

  void fill(const fs::path& input, Dump& dump) {
    for (const auto& [layer, ids] : sequences_.at(order_.front()).ids) {
      dump.model_layers.push_back(layer);
    }
    std::vector<std::int64_t> all;
    std::int64_t tokens = 0;
    for (const std::string& key : order_) {
      const std::int64_t rows = append(input, key, dump.model_layers, all);
      dump.pack.sequences.push_back(
          {.row_start = tokens, .rows = rows, .domain = options_.domain, .source = key});
      tokens += rows;
    }
    PackHeader& header = dump.pack.header;
    header = header_of(options_);
    header.top_k = static_cast<int>(slots_);
    header.layers = static_cast<int>(dump.model_layers.size());
    header.first_moe_layer = static_cast<int>(dump.model_layers.front());
    header.experts = required(input, options_.experts, "experts", "as the file does not say it");
    check_agrees(input, options_.top_k, "top_k", header.top_k);
    dump.pack.topk = make_array(
        NumberType::kI8, {tokens, header.layers, static_cast<std::int64_t>(slots_)}, all);
  }

  /// A sequence's tokens in the order [token, layer, slot]; returns how many.
  std::int64_t append(const fs::path& input,
                      const std::string& key,
                      const std::vector<std::int64_t>& layers,
                      std::vector<std::int64_t>& all) const {
    const auto& by_layer = sequences_.at(key).ids;
    const std::size_t numbers = by_layer.begin()->second.size();
    std::size_t i = 0;
    for (const auto& [layer, ids] : by_layer) {
      if (by_layer.size() != layers.size() || layer != layers[i++] || ids.size() != numbers ||
          numbers == 0) {
        refuse(input,
               fmt::format("{}: layer {} has {} tokens; expected the layers of the first sequence "
                           "({} of them from {}), each with the same tokens (import pipeline "
                           "stages one by one)",
                           key,
                           layer,
                           slots_ == 0 ? 0 : ids.size() / slots_,
                           layers.size(),
                           layers.front()));
      }
    }
    for (std::size_t at = 0; at < numbers; at += slots_) {
      for (const auto& [layer, ids] : by_layer) {
        const auto first = ids.begin() + static_cast<std::ptrdiff_t>(at);
        all.insert(all.end(), first, first + static_cast<std::ptrdiff_t>(slots_));
      }
    }
    return static_cast<std::int64_t>(numbers / slots_);
  }

  const ImportOptions& options_;
  fs::path path_;
  int line_ = 0;
  bool is_megatron_ = false;
  std::size_t mtp_records_ = 0;
  std::size_t slots_ = 0;
  std::vector<std::string> order_;
  std::map<std::string, Sequence> sequences_;
};

}  // namespace

Dump read_records(const fs::path& input,
                  const std::vector<fs::path>& files,
                  const ImportOptions& options) {
  RecordLines lines(options);
  for (const fs::path& file : files) {
    lines.read(file);
  }
  return lines.dump(input);
}

}  // namespace moesim::traces
