// SPDX-License-Identifier: Apache-2.0
#include "topology/graphml_text.hpp"

#include <boost/graph/graphml.hpp>
#include <boost/property_tree/detail/rapidxml.hpp>
#include <boost/property_tree/exceptions.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "topology/builders.hpp"

namespace moesim {
namespace {

std::ptrdiff_t line_of(std::string_view text, std::size_t at) {
  return 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
}

/// Position behind the XML tag, comment or section that starts at `at`.
std::size_t behind_markup(std::string_view text, std::size_t at) {
  const auto behind = [&](std::string_view end) {
    const std::size_t found = text.find(end, at);
    return found == std::string_view::npos ? text.size() : found + end.size();
  };
  const std::string_view rest = text.substr(at);
  if (rest.starts_with("<!--")) {
    return behind("-->");
  }
  if (rest.starts_with("<![CDATA[")) {
    return behind("]]>");
  }
  char quote = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && c == '>') {
      return i + 1;
    }
    if (c == '"' || c == '\'') {
      quote = quote == 0 ? c : (quote == c ? '\0' : quote);
    }
  }
  return text.size();
}

/// Boost's reader goes one call deeper for each element inside another.
void check_nesting(std::string_view text) {
  constexpr int kMostLevels = 64;
  constexpr std::size_t kTagsOfEdge = 16;
  int level = 0;
  std::size_t tags = 0;
  for (std::size_t at = text.find('<'); at != std::string_view::npos;) {
    const std::size_t end = behind_markup(text, at);
    const char first = at + 1 < text.size() ? text[at + 1] : '\0';
    if (first == '/') {
      --level;
    } else if (first != '!' && first != '?' && (end < 2 || text[end - 2] != '/')) {
      ++level;
    }
    if (level > kMostLevels) {
      refuse_graphml(fmt::format("elements are nested deeper than {}", kMostLevels));
    }
    if (++tags > kTagsOfEdge * static_cast<std::size_t>(kMaxLinks)) {
      refuse_graphml(fmt::format("more than {} links", kMaxLinks));
    }
    at = text.find('<', end);
  }
}

/// Types of keys do not matter: every number is read from its text.
std::string with_string_keys(std::string_view text) {
  std::string out(text);
  constexpr std::string_view kType = "attr.type=\"";
  for (std::size_t at = out.find(kType); at != std::string::npos; at = out.find(kType, at + 1)) {
    const std::size_t begin = at + kType.size();
    const std::size_t end = out.find('"', begin);
    if (end == std::string::npos) {
      break;
    }
    out.replace(begin, end - begin, "string");
  }
  return out;
}

/// "line 6: expected <" where the text is no XML. Boost's reader counts lines in a buffer from
/// which its parser has already cut blanks, so that parser is asked again, for the position.
std::optional<std::string> xml_mistake(std::string_view text) {
  namespace xml = boost::property_tree::detail::rapidxml;
  std::vector<char> buffer(text.begin(), text.end());
  buffer.push_back('\0');
  try {
    xml::xml_document<char> document;
    document.parse<xml::parse_normalize_whitespace | xml::parse_trim_whitespace>(buffer.data());
  } catch (xml::parse_error& error) {
    const auto at = static_cast<std::size_t>(error.where<char>() - buffer.data());
    return fmt::format("line {}: {}", line_of(text, std::min(at, text.size())), error.what());
  }
  return std::nullopt;
}

/// The tag `element ...` lacks the attribute.
bool lacks(std::string_view tag, std::string_view element, std::string_view attribute) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t name_end = std::min(tag.find_first_of(" \t\r\n/>"), tag.size());
  if (tag.substr(0, name_end) != element) {
    return false;
  }
  for (std::size_t at = tag.find(attribute, name_end); at != std::string_view::npos;
       at = tag.find(attribute, at + 1)) {
    const std::size_t end = tag.find_first_not_of(kBlank, at + attribute.size());
    if (kBlank.find(tag[at - 1]) != std::string_view::npos && end != std::string_view::npos &&
        tag[end] == '=') {
      return false;
    }
  }
  return true;
}

/// "line 4: <edge> has no source", for what the reader missed.
std::string missing_attribute(std::string_view text, const std::string& attribute) {
  for (std::size_t at = text.find('<'); at != std::string_view::npos;) {
    const std::size_t end = behind_markup(text, at);
    const std::string_view tag = text.substr(at + 1, end - at - 1);
    for (const std::string_view element : {"key", "graph", "node", "edge", "data"}) {
      const bool needs = (attribute == "id" && (element == "key" || element == "node")) ||
                         (attribute == "for" && element == "key") ||
                         (attribute == "key" && element == "data") ||
                         (attribute == "edgedefault" && element == "graph") ||
                         ((attribute == "source" || attribute == "target") && element == "edge");
      if (needs && lacks(tag, element, attribute)) {
        return fmt::format("line {}: <{}> has no {}", line_of(text, at), element, attribute);
      }
    }
    at = text.find('<', end);
  }
  return "an element has no " + attribute;
}

/// What Boost's reader says of a missing element or attribute, in our words.
std::string missing_part(std::string_view text, std::string words) {
  constexpr std::string_view kHead = "No such node (";
  if (!words.starts_with(kHead)) {
    return words;
  }
  words = words.substr(kHead.size(), words.size() - kHead.size() - 1);
  constexpr std::string_view kAttribute = "<xmlattr>/";
  return words.starts_with(kAttribute) ? missing_attribute(text, words.substr(kAttribute.size()))
                                       : "no element <" + words.substr(words.rfind('.') + 1) + ">";
}

/// Data of a key whose type is not known: that of an undeclared key has no name either.
std::string untyped_key(const std::string& words) {
  constexpr std::string_view kHead = "unrecognized type \"\" for key ";
  if (!words.starts_with(kHead)) {
    return words;
  }
  const std::string name = words.substr(kHead.size());
  return name.empty() ? "a <data> names a key that no <key> declares"
                      : "<key> of " + name + " has no attr.type";
}

}  // namespace

void refuse_graphml(const std::string& what) {
  throw UserError("GraphML: " + what);
}

GraphmlGraph parse_graphml(std::string_view text) {
  check_nesting(text);
  GraphmlGraph graph;
  boost::dynamic_properties data(boost::ignore_other_properties);
  data.property("name", boost::get(&GraphmlVertex::name, graph));
  data.property("kind", boost::get(&GraphmlVertex::kind, graph));
  data.property("node", boost::get(&GraphmlVertex::node, graph));
  data.property("kind", boost::get(&GraphmlEdge::kind, graph));
  data.property("capacity_bytes_per_s", boost::get(&GraphmlEdge::capacity, graph));
  data.property("latency_s", boost::get(&GraphmlEdge::latency, graph));
  data.property("health", boost::get(&GraphmlEdge::health, graph));
  data.property("background_bytes_per_s", boost::get(&GraphmlEdge::background, graph));
  std::istringstream stream(with_string_keys(text));
  try {
    boost::read_graphml(stream, graph, data);
  } catch (const boost::undirected_graph_error&) {
    refuse_graphml("the graph is undirected; edges must be directed, one each way");
  } catch (const boost::parse_error& error) {
    refuse_graphml("cannot be read: " + xml_mistake(text).value_or(untyped_key(error.error)));
  } catch (const boost::property_tree::ptree_bad_path& error) {
    refuse_graphml("cannot be read: " + missing_part(text, error.what()));
  } catch (const std::exception& error) {
    std::string words = error.what();
    std::replace(words.begin(), words.end(), '\n', ' ');
    refuse_graphml("cannot be read: " + xml_mistake(text).value_or(words));
  }
  return graph;
}

}  // namespace moesim
