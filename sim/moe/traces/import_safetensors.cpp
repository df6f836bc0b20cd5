// SPDX-License-Identifier: Apache-2.0
// TensorRT-LLM's expert statistic: meta_info.json, and for every "<iteration>_<layer>" a count per
// expert in rank<r>.safetensors or the experts of each token in rank<r>_raw.safetensors.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/moe/traces/safetensors.hpp"
#include "sim/moe/traces/spool.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Key = std::pair<std::int64_t, std::int64_t>;  // iteration, layer

constexpr std::size_t kMostHeader = std::size_t{100} << 20U;

constexpr std::int64_t kMostTokens = 0x7fff'ffff;
constexpr std::string_view kRaw = "_raw.safetensors";

/// Numbers of a tensor, where they lie in its file.
struct Numbers {
  std::span<const std::byte> bytes;
  bool narrow = false;  ///< I32, else I64

  [[nodiscard]] std::size_t count() const { return bytes.size() / (narrow ? 4 : 8); }
  [[nodiscard]] std::int64_t at(std::size_t i) const {
    return narrow ? number_at<std::int32_t>(bytes.data(), i)
                  : number_at<std::int64_t>(bytes.data(), i);
  }
};

/// What a rank logged: counts by expert, or experts of tokens [token, slot].
struct Rank {
  std::unique_ptr<SafetensorsFile> file;  ///< mapped
  std::map<Key, Numbers> numbers;
};

bool repeats(const Rank& a, const Rank& b) {
  return std::equal(a.numbers.begin(),
                    a.numbers.end(),
                    b.numbers.begin(),
                    b.numbers.end(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first &&
                             std::ranges::equal(x.second.bytes, y.second.bytes);
                    });
}

bool is_raw(const fs::path& path) {
  return path.filename().string().ends_with(kRaw);
}

struct Meta {
  int experts = 0;
  int top_k = 0;
};

int whole_of(const fs::path& path, const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_number_integer() || *found < 1 || *found > kMostExperts) {
    refuse(path, fmt::format("{}: expected a whole number from 1 to {}", name, kMostExperts));
  }
  return found->get<int>();
}

Meta read_meta(const fs::path& path) {
  const Json json = Json::parse(read_text(path, kMostHeader), nullptr, false);
  if (!json.is_object()) {
    refuse(path, "not a JSON object");
  }
  return {.experts = whole_of(path, json, "num_experts"),
          .top_k = whole_of(path, json, "num_experts_per_token")};
}

/// "12_3" as iteration 12, layer 3.
Key parsed_key(const fs::path& path, const std::string& name) {
  Key key;
  const char* const end = name.data() + name.size();
  const auto first = std::from_chars(name.data(), end, key.first);
  const bool split = first.ec == std::errc() && first.ptr != end && *first.ptr == '_';
  const auto second = std::from_chars(split ? first.ptr + 1 : end, end, key.second);
  if (!split || second.ec != std::errc() || second.ptr != end || key.first < 0 || key.second < 0 ||
      key.second > 1'000'000) {
    refuse(path, fmt::format("tensor \"{}\"; expected names \"<iteration>_<layer>\"", name));
  }
  return key;
}

Rank read_counts_of(const fs::path& path, int experts, const Pace& pace) {
  Rank rank{.file = std::make_unique<SafetensorsFile>(path), .numbers = {}};
  PaceCounter read(pace, "reading", rank.file->tensors().size(), 64);
  for (const Tensor& tensor : rank.file->tensors()) {
    read.add();
    if (tensor.dtype != "I64" || tensor.shape != std::vector<std::int64_t>{experts}) {
      refuse(path,
             fmt::format("tensor \"{}\": expected I64 counts of shape [{}], the experts of "
                         "meta_info.json",
                         tensor.name,
                         experts));
    }
    const Numbers counts{
        .bytes = rank.file->bytes(tensor, static_cast<std::size_t>(experts) * sizeof(std::int64_t)),
        .narrow = false};
    for (std::size_t e = 0; e < counts.count(); ++e) {
      if (counts.at(e) < 0 || counts.at(e) > kMostCount) {
        refuse(path,
               fmt::format("tensor \"{}\": count {}; expected 0 to {}",
                           tensor.name,
                           counts.at(e),
                           kMostCount));
      }
    }
    rank.numbers[parsed_key(path, tensor.name)] = counts;
  }
  return rank;
}

Rank read_ids_of(const fs::path& path, int top_k) {
  Rank rank{.file = std::make_unique<SafetensorsFile>(path), .numbers = {}};
  for (const Tensor& tensor : rank.file->tensors()) {
    const bool narrow = tensor.dtype == "I32";
    if ((!narrow && tensor.dtype != "I64") || tensor.shape.size() != 2 ||
        tensor.shape[1] != top_k || tensor.shape[0] > kMostTokens) {
      refuse(path,
             fmt::format("tensor \"{}\": expected I32 or I64 experts of shape [tokens, {}], "
                         "num_experts_per_token of meta_info.json",
                         tensor.name,
                         top_k));
    }
    const std::size_t numbers =
        static_cast<std::size_t>(tensor.shape[0]) * static_cast<std::size_t>(top_k);
    const auto bytes = rank.file->bytes(tensor, numbers * (narrow ? 4 : 8));
    rank.numbers[parsed_key(path, tensor.name)] = {.bytes = bytes, .narrow = narrow};
  }
  return rank;
}

/// Adds what a rank logged, unless it repeats an earlier rank.
void add_rank(const fs::path& path, Rank logged, std::vector<Rank>& ranks, Dump& dump) {
  if (std::any_of(
          ranks.begin(), ranks.end(), [&](const Rank& rank) { return repeats(rank, logged); })) {
    dump.dropped.push_back(
        fmt::format("{}: it repeats another rank's {}, as tensor-parallel ranks log them",
                    path.filename().string(),
                    is_raw(path) ? "tokens" : "counts"));
    return;
  }
  ranks.push_back(std::move(logged));
}

/// Where the tokens of all ranks are gathered, as I64 [token, layer, slot].
struct RawIds {
  Spool& all;
  std::size_t top_k;
  PaceCounter& tokens;
};

/// Appends a rank's tokens of one iteration; returns how many.
std::int64_t append_tokens(const fs::path& folder,
                           const Rank& rank,
                           std::int64_t iteration,
                           const std::vector<std::int64_t>& layers,
                           const RawIds& to) {
  std::vector<Numbers> by_layer;
  for (const std::int64_t layer : layers) {
    const auto found = rank.numbers.find({iteration, layer});
    const auto first = rank.numbers.find({iteration, layers[0]});
    if (found == rank.numbers.end() || first == rank.numbers.end() ||
        found->second.count() != first->second.count()) {
      refuse(folder,
             fmt::format("iteration {}: layer {} has not the tokens of layer {}",
                         iteration,
                         layer,
                         layers[0]));
    }
    by_layer.push_back(found->second);
  }
  std::vector<std::int64_t> token;
  for (std::size_t at = 0; at < by_layer[0].count(); at += to.top_k) {
    token.clear();
    for (const Numbers& layer : by_layer) {
      for (std::size_t slot = 0; slot < to.top_k; ++slot) {
        token.push_back(layer.at(at + slot));
      }
    }
    to.all.append(std::as_bytes(std::span(token)));
    to.tokens.add();
  }
  return static_cast<std::int64_t>(by_layer[0].count() / to.top_k);
}

Dump read_raw(const fs::path& folder,
              const std::vector<fs::path>& files,
              const Meta& meta,
              const ImportOptions& options) {
  Dump dump;
  dump.form = "TensorRT-LLM experts of tokens";
  std::vector<Rank> ranks;
  std::set<std::int64_t> layers;
  for (const fs::path& path : files) {
    add_rank(path, read_ids_of(path, meta.top_k), ranks, dump);
  }
  for (const Rank& rank : ranks) {
    for (const auto& [key, row] : rank.numbers) {
      layers.insert(key.second);
    }
  }
  dump.model_layers.assign(layers.begin(), layers.end());
  Spool all(options.scratch);
  PaceCounter read(options.pace, "reading", 0);
  std::int64_t tokens = 0;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    std::optional<std::int64_t> last;
    for (const auto& [key, row] : ranks[rank].numbers) {
      if (std::exchange(last, key.first) == key.first) {
        continue;
      }
      const std::int64_t rows = append_tokens(
          folder,
          ranks[rank],
          key.first,
          dump.model_layers,
          {.all = all, .top_k = static_cast<std::size_t>(meta.top_k), .tokens = read});
      if (rows > 0) {
        dump.pack.sequences.push_back(
            {.row_start = tokens,
             .rows = rows,
             .domain = options.domain,
             .source = fmt::format("iteration {}, rank {}", key.first, rank)});
      }
      tokens += rows;
    }
  }
  if (tokens == 0) {
    refuse(folder, "no rank<r>_raw.safetensors with tokens");
  }
  PackHeader& header = dump.pack.header;
  header = header_of(options);
  header.experts = meta.experts;
  header.top_k = meta.top_k;
  header.layers = static_cast<int>(layers.size());
  header.first_moe_layer = static_cast<int>(dump.model_layers.front());
  dump.pack.topk = all.take(NumberType::kI8, {tokens, header.layers, meta.top_k});
  return dump;
}

/// The counts of all ranks added up, a row for each iteration and layer.
void add_up(const std::vector<Rank>& ranks,
            const std::set<Key>& keys,
            int experts,
            const TakeRow& take) {
  std::vector<std::int64_t> sum(static_cast<std::size_t>(experts));
  for (const Key& key : keys) {  // by iteration, then layer
    std::fill(sum.begin(), sum.end(), std::int64_t{0});
    for (const Rank& rank : ranks) {
      const auto found = rank.numbers.find(key);
      for (std::size_t e = 0; found != rank.numbers.end() && e < sum.size(); ++e) {
        sum[e] += found->second.at(e);
      }
    }
    take(sum);
  }
}

}  // namespace

Dump read_expert_statistic(const fs::path& folder, const ImportOptions& options) {
  const Meta meta = read_meta(folder / "meta_info.json");
  check_agrees(folder, options.experts, "experts", meta.experts);
  check_agrees(folder, options.top_k, "top_k", meta.top_k);
  std::vector<fs::path> files = files_of(folder, "rank", ".safetensors");
  std::erase_if(files, is_raw);
  const std::vector<fs::path> raw = files_of(folder, "rank", kRaw);
  if (options.kind == ArrayKind::kIds ||
      (files.empty() && options.kind == ArrayKind::kAuto && !raw.empty())) {
    return read_raw(folder, raw, meta, options);
  }
  Dump dump;
  dump.form = "TensorRT-LLM expert statistic";
  std::vector<Rank> ranks;
  for (const fs::path& path : files) {
    add_rank(path, read_counts_of(path, meta.experts, options.pace), ranks, dump);
  }
  if (!raw.empty()) {
    dump.dropped.push_back(
        "the experts of single tokens in rank<r>_raw.safetensors; --kind ids reads them");
  }
  std::set<Key> keys;
  std::set<std::int64_t> iterations;
  std::set<std::int64_t> layers;
  for (const Rank& rank : ranks) {
    for (const auto& [key, counts] : rank.numbers) {
      keys.insert(key);
      iterations.insert(key.first);
      layers.insert(key.second);
    }
  }
  if (keys.empty()) {
    refuse(folder, "no rank<r>.safetensors with counts");
  }
  if (keys.size() != iterations.size() * layers.size()) {
    refuse(folder, "some layers lack some iterations");
  }
  dump.model_layers.assign(layers.begin(), layers.end());
  dump.pack.header = header_of(options);
  dump.pack.header.top_k = meta.top_k;
  const auto sums = [&](const TakeRow& take) { add_up(ranks, keys, meta.experts, take); };
  set_counts(folder,
             dump,
             {static_cast<std::int64_t>(iterations.size()),
              static_cast<std::int64_t>(layers.size()),
              meta.experts},
             sums,
             options);
  return dump;
}

}  // namespace moesim::traces
