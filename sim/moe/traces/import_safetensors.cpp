// SPDX-License-Identifier: Apache-2.0
// TensorRT-LLM's expert statistic: meta_info.json and rank<r>.safetensors with a count per expert
// for every "<iteration>_<layer>". safetensors: 8 bytes of header length, JSON, raw data.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/mapped_file.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Key = std::pair<std::int64_t, std::int64_t>;  // iteration, layer
using Counts = std::map<Key, std::vector<std::int64_t>>;

constexpr std::int64_t kMostCount = 0xffff'ffff;
constexpr std::size_t kMostHeader = std::size_t{100} << 20U;

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

/// The bytes of a tensor of int64 [experts].
std::span<const std::byte> tensor_bytes(const fs::path& path,
                                        const std::string& name,
                                        const Json& info,
                                        std::span<const std::byte> data,
                                        int experts) {
  const Json wanted_shape = Json::array({experts});
  const auto bytes = static_cast<std::size_t>(experts) * sizeof(std::int64_t);
  if (!info.is_object() || info.value("dtype", Json()) != "I64" ||
      info.value("shape", Json()) != wanted_shape) {
    refuse(path,
           fmt::format("tensor \"{}\": expected I64 counts of shape [{}], the experts of "
                       "meta_info.json (raw expert ids per token are not read)",
                       name,
                       experts));
  }
  const Json offsets = info.value("data_offsets", Json());
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned() || offsets[1] > data.size() ||
      offsets[0].get<std::size_t>() > data.size() ||
      offsets[0].get<std::size_t>() + bytes != offsets[1].get<std::size_t>()) {
    refuse(path,
           fmt::format("tensor \"{}\": its data_offsets do not fit its shape or the file", name));
  }
  return data.subspan(offsets[0].get<std::size_t>(), bytes);
}

Counts read_safetensors(const fs::path& path, int experts) {
  const MappedFile file(path);
  const std::span<const std::byte> content = file.content();
  constexpr std::size_t kLengthBytes = sizeof(std::uint64_t);
  const std::uint64_t length =
      content.size() < kLengthBytes ? 0 : number_at<std::uint64_t>(content.data(), 0);
  if (length == 0 || length > kMostHeader || length > content.size() - kLengthBytes) {
    refuse(path, "not a safetensors file, or truncated");
  }
  const auto* const text = reinterpret_cast<const char*>(content.data()) + kLengthBytes;
  const Json header = Json::parse(text, text + length, nullptr, false);
  if (!header.is_object()) {
    refuse(path, "the safetensors header is no JSON object");
  }
  const auto data = content.subspan(kLengthBytes + static_cast<std::size_t>(length));
  Counts counts;
  for (const auto& [name, info] : header.items()) {
    if (name == "__metadata__") {
      continue;
    }
    const auto bytes = tensor_bytes(path, name, info, data, experts);
    std::vector<std::int64_t>& row = counts[parsed_key(path, name)];
    for (std::size_t e = 0; e < static_cast<std::size_t>(experts); ++e) {
      row.push_back(number_at<std::int64_t>(bytes.data(), e));
      if (row.back() < 0 || row.back() > kMostCount) {
        refuse(
            path,
            fmt::format("tensor \"{}\": count {}; expected 0 to {}", name, row.back(), kMostCount));
      }
    }
  }
  return counts;
}

/// Adds a rank's counts, unless they repeat an earlier rank's.
void add_rank(const fs::path& path, const Counts& counts, std::vector<Counts>& ranks, Dump& dump) {
  for (const Counts& other : ranks) {
    if (other == counts) {
      dump.dropped.push_back(
          fmt::format("{}: it repeats another rank's counts, as tensor-parallel ranks log them",
                      path.filename().string()));
      return;
    }
  }
  ranks.push_back(counts);
}

}  // namespace

Dump read_expert_statistic(const fs::path& folder, const ImportOptions& options) {
  const Meta meta = read_meta(folder / "meta_info.json");
  check_agrees(folder, options.experts, "experts", meta.experts);
  check_agrees(folder, options.top_k, "top_k", meta.top_k);
  Dump dump;
  dump.form = "TensorRT-LLM expert statistic";
  std::vector<Counts> ranks;
  for (const fs::path& path : files_of(folder, "rank", ".safetensors")) {
    add_rank(path, read_safetensors(path, meta.experts), ranks, dump);
  }
  Counts sum;
  std::set<std::int64_t> iterations;
  std::set<std::int64_t> layers;
  for (const Counts& counts : ranks) {
    for (const auto& [key, row] : counts) {
      std::vector<std::int64_t>& total = sum[key];
      total.resize(row.size());
      for (std::size_t e = 0; e < row.size(); ++e) {
        total[e] += row[e];
      }
      iterations.insert(key.first);
      layers.insert(key.second);
    }
  }
  if (sum.empty()) {
    refuse(folder, "no rank<r>.safetensors with counts");
  }
  if (sum.size() != iterations.size() * layers.size()) {
    refuse(folder, "some layers lack some iterations");
  }
  std::vector<std::int64_t> all;  // by iteration, then layer: the order of the map
  for (const auto& [key, row] : sum) {
    all.insert(all.end(), row.begin(), row.end());
  }
  dump.model_layers.assign(layers.begin(), layers.end());
  dump.pack.header = header_of(options);
  set_counts(folder,
             dump,
             {static_cast<std::int64_t>(iterations.size()),
              static_cast<std::int64_t>(layers.size()),
              meta.experts},
             all,
             meta.top_k);
  return dump;
}

}  // namespace moesim::traces
