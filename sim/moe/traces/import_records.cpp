// SPDX-License-Identifier: Apache-2.0
// JSON lines with one record for a layer: Megatron-Core's router_trace_rank<r>.jsonl, with the
// experts of many tokens each, and plain ones with those of a token.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <utility>

#include "sim/core/pace_counter.hpp"
#include "sim/core/rng.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/mapped_text.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/moe/traces/row_streams.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::int64_t kMostLayer = 1'000'000;

/// A sequence's tokens in one layer: the rows of the stream of its number.
struct LayerRows {
  std::size_t stream = 0;
  std::int64_t rows = 0;
  std::uint64_t hash = 0;  ///< of the experts, in order
};

struct Sequence {
  std::map<std::int64_t, LayerRows> layers;
  std::int64_t step = 0;
};

/// Whether the sequences hold the same experts (64 bits a layer say so).
bool repeats(const Sequence& a, const Sequence& b) {
  return std::equal(a.layers.begin(),
                    a.layers.end(),
                    b.layers.begin(),
                    b.layers.end(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first && x.second.rows == y.second.rows &&
                             x.second.hash == y.second.hash;
                    });
}

class RecordLines {
 public:
  explicit RecordLines(const ImportOptions& options) : options_(options) {}

  void read(const fs::path& path) {
    path_ = path;
    line_ = 0;
    const MappedText file(path, options_.scratch, options_.pace);
    std::string_view rest = file.text();
    PaceCounter bytes(options_.pace, "reading", rest.size(), kReadBetween);
    while (!rest.empty()) {
      const std::string_view line = next_line(rest);
      bytes.add(line.size() + 1);
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
    if (line.size() > kMostLine) {
      refuse_line(fmt::format("more than {} bytes in a line", kMostLine));
    }
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
    LayerRows& to = rows_of(sequence_of(record, name), layer);
    experts_.clear();
    if (!experts.empty() && !experts.front().is_array()) {
      read_token(experts, name);
    } else {
      for (const Json& token : experts) {
        read_token(token, name);
      }
    }
    const std::size_t tokens = slots_ == 0 ? 0 : experts_.size() / slots_;
    if (record.contains("num_tokens") && slots_ > 0 &&
        member(record, "num_tokens") != static_cast<std::int64_t>(tokens)) {
      refuse_line(
          fmt::format("num_tokens: {}; {} has {}", member(record, "num_tokens"), name, tokens));
    }
    keep(to, static_cast<std::int64_t>(tokens));
  }

  LayerRows& rows_of(Sequence& sequence, std::int64_t layer) {
    const auto [found, fresh] = sequence.layers.try_emplace(layer);
    if (fresh) {
      found->second.stream = streams_++;
    }
    return found->second;
  }

  void keep(LayerRows& to, std::int64_t tokens) {
    if (tokens == 0) {
      return;
    }
    if (!rows_) {
      rows_.emplace(options_.scratch, slots_ * sizeof(std::int32_t));
    }
    rows_->append(to.stream, std::as_bytes(std::span(experts_)));
    to.rows += tokens;
    for (const std::int32_t expert : experts_) {
      to.hash = mix_hash(to.hash, static_cast<std::uint64_t>(expert));
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

  void read_token(const Json& token, std::string_view name) {
    slots_ = slots_ == 0 && token.is_array() ? token.size() : slots_;
    if (!token.is_array() || token.empty() || token.size() != slots_) {
      refuse_line(fmt::format("{}: expected a list of {} experts", name, slots_));
    }
    for (const Json& expert : token) {
      experts_.push_back(static_cast<std::int32_t>(whole(expert, name)));
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
            return repeats(sequences_.at(other), sequence);
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
    for (const auto& [layer, rows] : sequences_.at(order_.front()).layers) {
      dump.model_layers.push_back(layer);
    }
    const auto layers = static_cast<std::int64_t>(dump.model_layers.size());
    std::vector<RowStreams::Place> places(streams_, {.first = 0, .stride = 1, .left_out = true});
    std::int64_t tokens = 0;
    for (const std::string& key : order_) {
      const std::int64_t rows = common_rows(input, key, dump.model_layers);
      std::int64_t first = tokens * layers;
      for (const auto& [layer, of_layer] : sequences_.at(key).layers) {
        places[of_layer.stream] = {.first = first++, .stride = layers, .left_out = false};
      }
      dump.pack.sequences.push_back(
          {.row_start = tokens, .rows = rows, .domain = options_.domain, .source = key});
      tokens += rows;
    }
    PackHeader& header = dump.pack.header;
    header = header_of(options_);
    header.top_k = static_cast<int>(slots_);
    header.layers = static_cast<int>(layers);
    header.first_moe_layer = static_cast<int>(dump.model_layers.front());
    header.experts = required(input, options_.experts, "experts", "as the file does not say it");
    check_agrees(input, options_.top_k, "top_k", header.top_k);
    dump.pack.topk = rows_->arranged(NumberType::kI4,
                                     {tokens, layers, static_cast<std::int64_t>(slots_)},
                                     std::move(places),
                                     options_.pace);
  }

  /// The sequence's tokens, which every layer has alike.
  [[nodiscard]] std::int64_t common_rows(const fs::path& input,
                                         const std::string& key,
                                         const std::vector<std::int64_t>& layers) const {
    const auto& by_layer = sequences_.at(key).layers;
    const std::int64_t rows = by_layer.begin()->second.rows;
    std::size_t i = 0;
    for (const auto& [layer, of_layer] : by_layer) {
      if (by_layer.size() != layers.size() || layer != layers[i++] || of_layer.rows != rows ||
          rows == 0) {
        refuse(input,
               fmt::format("{}: layer {} has {} tokens; expected the layers of the first sequence "
                           "({} of them from {}), each with the same tokens (import pipeline "
                           "stages one by one)",
                           key,
                           layer,
                           of_layer.rows,
                           layers.size(),
                           layers.front()));
      }
    }
    return rows;
  }

  const ImportOptions& options_;
  fs::path path_;
  int line_ = 0;
  bool is_megatron_ = false;
  std::size_t mtp_records_ = 0;
  std::size_t slots_ = 0;
  std::vector<std::int32_t> experts_;  ///< of the record being read, [token, slot]
  std::vector<std::string> order_;
  std::map<std::string, Sequence> sequences_;
  std::size_t streams_ = 0;
  std::optional<RowStreams> rows_;
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
