// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/pack_json.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::string_view kFormat = "moesim-route-pack";
constexpr int kVersion = 1;
constexpr std::size_t kShownValue = 40;

OrderedJson parse_object(const std::filesystem::path& path, const std::string& text) {
  try {
    OrderedJson document = OrderedJson::parse(text);
    if (!document.is_object()) {
      refuse(path, "expected a JSON object");
    }
    return document;
  } catch (const OrderedJson::parse_error& error) {
    const auto begin = text.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    Diagnostic found = mistake(path, "not valid JSON from here on");
    found.place.line = 1 + static_cast<int>(std::count(begin, end, '\n'));
    const std::size_t line_start = text.rfind('\n', error.byte == 0 ? 0 : error.byte - 1);
    found.place.column = static_cast<int>(
        line_start == std::string::npos ? error.byte : error.byte - line_start - 1);
    throw UserError(std::vector<Diagnostic>{std::move(found)});
  }
}

/// A value as a message shows it; strange bytes are replaced, never thrown over.
std::string shown(const OrderedJson& value) {
  std::string text = value.dump(-1, ' ', true, OrderedJson::error_handler_t::replace);
  if (text.size() > kShownValue) {
    text = text.substr(0, kShownValue) + "...";
  }
  return text;
}

/// Reads keys of one object and collects what is wrong with them.
class HeaderReader {
 public:
  HeaderReader(const std::filesystem::path& path, const OrderedJson& object)
      : path_(path), object_(object) {}

  void text(const char* key, std::string& into, bool required) {
    const OrderedJson* const value = find(key, required, "a string");
    if (value == nullptr) {
      return;
    }
    if (!value->is_string()) {
      wrong(key, *value, "a string");
      return;
    }
    into = value->get<std::string>();
  }

  void whole_number(const char* key, int& into, int least, int most) {
    const std::string expected = fmt::format("a whole number from {} to {}", least, most);
    const OrderedJson* const value = find(key, least > 0, expected);
    if (value == nullptr) {
      return;
    }
    if (!value->is_number_integer() || *value < least || *value > most) {
      wrong(key, *value, expected);
      return;
    }
    into = value->get<int>();
  }

  void seed(std::optional<std::uint64_t>& into) {
    const OrderedJson* const value = find("seed", false, "");
    if (value == nullptr || value->is_null()) {
      return;
    }
    if (!value->is_number_unsigned()) {
      wrong("seed", *value, "a whole number >= 0");
      return;
    }
    into = value->get<std::uint64_t>();
  }

  void axes(std::vector<std::string>& into) {
    const OrderedJson* const value = find("axes", false, "");
    if (value == nullptr) {
      return;
    }
    for (const OrderedJson& axis : *value) {
      if (!value->is_array() || !axis.is_string()) {
        wrong("axes", *value, "a list of strings");
        return;
      }
      into.push_back(axis.get<std::string>());
    }
  }

  void expect(const char* key, const OrderedJson& expected) {
    const OrderedJson* const value = find(key, true, expected.dump());
    if (value != nullptr && *value != expected) {
      wrong(key, *value, expected.dump());
    }
  }

  void add(const char* key, std::string message) {
    mistakes_.push_back(mistake(path_, std::move(message), key));
  }
  void throw_mistakes() const {
    if (!mistakes_.empty()) {
      throw UserError(mistakes_);
    }
  }

 private:
  const OrderedJson* find(const char* key, bool required, std::string_view expected) {
    const auto found = object_.find(key);
    if (found != object_.end()) {
      return &*found;
    }
    if (required) {
      add(key, fmt::format("missing; expected {}", expected));
    }
    return nullptr;
  }
  void wrong(const char* key, const OrderedJson& value, std::string_view expected) {
    add(key, fmt::format("found {}; expected {}", shown(value), expected));
  }

  const std::filesystem::path& path_;
  const OrderedJson& object_;
  std::vector<Diagnostic> mistakes_;
};

}  // namespace

PackHeader parse_pack_json(const std::filesystem::path& path, const std::string& text) {
  constexpr int kMostLayers = 100'000;
  const OrderedJson object = parse_object(path, text);
  HeaderReader reader(path, object);
  PackHeader header;
  reader.expect("format", kFormat);
  reader.expect("version", kVersion);
  reader.text("model", header.model, true);
  reader.whole_number("experts", header.experts, 1, kMostExperts);
  reader.whole_number("top_k", header.top_k, 1, kMostExperts);
  reader.whole_number("layers", header.layers, 1, kMostLayers);
  reader.whole_number("first_moe_layer", header.first_moe_layer, 0, kMostLayers);
  reader.text("slot_order", header.slot_order, false);
  reader.text("phase", header.phase, false);
  reader.text("source", header.source, false);
  reader.text("licence", header.licence, false);
  reader.text("expert_ids", header.expert_ids, false);
  reader.seed(header.seed);
  reader.axes(header.axes);
  if (header.top_k > header.experts && header.experts > 0) {
    reader.add("top_k",
               fmt::format("{} is more than the {} experts", header.top_k, header.experts));
  }
  if (header.expert_ids != "logical") {
    reader.add("expert_ids",
               fmt::format("\"{}\" ids cannot be replayed; map them to logical ids first",
                           header.expert_ids));
  }
  reader.throw_mistakes();
  return header;
}

std::string pack_json(const RoutePack& pack, const std::string& extra_json) {
  const PackHeader& header = pack.header;
  OrderedJson object = {{"format", kFormat},
                        {"version", kVersion},
                        {"model", header.model},
                        {"experts", header.experts},
                        {"top_k", header.top_k},
                        {"layers", header.layers},
                        {"first_moe_layer", header.first_moe_layer},
                        {"slot_order", header.slot_order},
                        {"phase", header.phase},
                        {"expert_ids", header.expert_ids},
                        {"source", header.source},
                        {"licence", header.licence}};
  if (header.seed) {
    object["seed"] = *header.seed;
  }
  if (pack.per_token()) {
    object["tokens"] = pack.tokens();
    object["sequences"] = pack.sequences.size();
  } else {
    object["axes"] = header.axes;
    object["steps"] = pack.steps();
  }
  if (!extra_json.empty()) {
    const OrderedJson extra = OrderedJson::parse(extra_json);
    MOESIM_CHECK(extra.is_object(), "further keys are an object");
    for (const auto& [key, value] : extra.items()) {
      object[key] = value;
    }
  }
  return object.dump(1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace moesim::traces
