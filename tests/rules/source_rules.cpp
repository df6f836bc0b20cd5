// SPDX-License-Identifier: Apache-2.0
#include "tests/rules/source_rules.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>

namespace moesim::rules {
namespace {

constexpr std::size_t kMostLines = 400;

/// Which modules a module may include, besides itself. cli and tests may include all.
const std::map<std::string, std::set<std::string>, std::less<>>& allowed() {
  static const std::map<std::string, std::set<std::string>, std::less<>> kAllowed = {
      {"core", {}},
      {"topology", {"core"}},
      {"des", {"core"}},
      {"network", {"core", "topology", "des"}},
      {"moe", {"core", "topology", "des", "network"}},
      {"step", {"core", "topology", "des", "network", "moe"}},
      {"calibrate", {"core", "topology", "des", "network", "moe", "step"}},
      {"study", {"core", "topology", "des", "network", "moe", "step", "calibrate"}},
      {"scenario", {"core", "topology", "des", "network", "moe", "step", "calibrate", "study"}},
      {"report", {"core", "moe", "step", "study"}},
      {"gpu_ref", {"core"}}};
  return kAllowed;
}

/// "network" of "sim/network/fluid.hpp", "topology" of "topology/paths.hpp"; "" outside of modules.
std::string module_of(std::string_view path) {
  if (path.starts_with("sim/")) {
    path.remove_prefix(4);
  } else if (!path.starts_with("topology/") && !path.starts_with("gpu_ref/")) {
    return "";
  }
  return std::string(path.substr(0, path.find('/')));
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// `word(` as a call: not a part of a longer word, not a member.
bool calls(std::string_view line, std::string_view word) {
  for (std::size_t at = line.find(word); at != std::string_view::npos;
       at = line.find(word, at + 1)) {
    const char before = at == 0 ? ' ' : line[at - 1];
    const std::size_t end = at + word.size();
    if (!is_word(before) && before != '.' && before != '>' && end < line.size() &&
        line[end] == '(') {
      return true;
    }
  }
  return false;
}

bool prints_or_exits(std::string_view line) {
  const std::initializer_list<std::string_view> streams = {"std::cout", "std::cerr", "std::clog"};
  const std::initializer_list<std::string_view> functions = {
      "printf", "fprintf", "puts", "fputs", "putchar", "fmt::print", "exit", "quick_exit", "abort"};
  return std::any_of(streams.begin(),
                     streams.end(),
                     [&](auto word) { return line.find(word) != std::string_view::npos; }) ||
         std::any_of(
             functions.begin(), functions.end(), [&](auto word) { return calls(line, word); });
}

/// What stands between the quotes or brackets of an #include line.
std::optional<std::string_view> included(std::string_view line) {
  const std::size_t hash = line.find_first_not_of(" \t");
  if (hash == std::string_view::npos || line[hash] != '#') {
    return std::nullopt;
  }
  const std::size_t word = line.find_first_not_of(" \t", hash + 1);
  if (word == std::string_view::npos || !line.substr(word).starts_with("include")) {
    return std::nullopt;
  }
  const std::size_t open = line.find_first_of("<\"", word);
  if (open == std::string_view::npos) {
    return std::nullopt;
  }
  return line.substr(open + 1, line.find_first_of(">\"", open + 1) - open - 1);
}

/// One file under check.
class Checker {
 public:
  explicit Checker(std::string_view path) : path_(path), module_(module_of(path)) {}

  void check(std::string_view text) {
    const std::string code = code_only(text);
    std::size_t line = 1;
    for (std::size_t at = 0; at < text.size(); ++line) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      check_line(line, text.substr(at, end - at), std::string_view(code).substr(at, end - at));
      at = end + 1;
    }
    if (line - 1 > kMostLines) {
      found.push_back(std::string(path_) + ":" + std::to_string(line - 1) + ": more than " +
                      std::to_string(kMostLines) + " lines");
    }
  }

  std::vector<std::string> found;

 private:
  void report(std::size_t line, const std::string& sentence) {
    found.push_back(std::string(path_) + ":" + std::to_string(line) + ": " + sentence);
  }

  void check_line(std::size_t number, std::string_view line, std::string_view code) {
    constexpr std::string_view kLicence = "// SPDX-License-Identifier: Apache-2.0";
    if (number == 1 && line != kLicence) {
      report(number, "the first line is not \"" + std::string(kLicence) + "\"");
    }
    if (!module_.empty() && module_ != "cli" && prints_or_exits(code)) {
      report(number, "only sim/cli prints or ends the program");
    }
    // A commented-out #include is none; code_only keeps the hash of a real one.
    if (const auto name = included(line); name && code.find('#') != std::string_view::npos) {
      check_include(number, *name);
    }
  }

  void check_include(std::size_t number, std::string_view name) {
    if (name.find("../") != std::string_view::npos) {
      report(number, "include paths start at the root, found " + std::string(name));
    }
    check_owner(number, name, "toml++/", "sim/scenario/toml_reader.cpp");
    check_owner(number, name, "simgrid/", "sim/network/simgrid_");
    const std::string other = module_of(name);
    const auto rule = allowed().find(module_);
    if (!module_.empty() && module_ != "cli" && rule == allowed().end()) {
      report(number, "module " + module_ + " has no place in the table of layers");
    } else if (rule != allowed().end() && !other.empty() && other != module_ &&
               !rule->second.contains(other)) {
      report(number, module_ + " must not include " + std::string(name));
    }
    if (!module_.empty() && name.starts_with("tests/")) {
      report(number, "the program must not include " + std::string(name));
    }
  }

  /// Of the program's files, only those whose path begins with `owner` may include the library;
  /// tests may use it as an oracle.
  void check_owner(std::size_t number,
                   std::string_view name,
                   std::string_view library,
                   std::string_view owner) {
    if (!module_.empty() && name.starts_with(library) && !path_.starts_with(owner)) {
      report(number, "only " + std::string(owner) + " includes " + std::string(library));
    }
  }

  std::string_view path_;
  std::string module_;
};

/// Position behind the literal or comment that starts at `at`; `at` itself if none does.
std::size_t skip(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at);
  const auto behind = [&](std::string_view end, std::size_t from) {
    const std::size_t found = text.find(end, from);
    return found == std::string_view::npos ? text.size() : found + end.size();
  };
  if (rest.starts_with("//")) {
    return std::min(text.find('\n', at), text.size());
  }
  if (rest.starts_with("/*")) {
    return behind("*/", at + 2);
  }
  const bool after_word = at > 0 && is_word(text[at - 1]);
  if (rest.starts_with("R\"") && !after_word) {
    const std::size_t open = std::min(text.find('(', at), text.size());
    const std::string tag(text.substr(at + 2, open - at - 2));
    return behind(")" + tag + "\"", open);
  }
  if (rest[0] != '"' && (rest[0] != '\'' || after_word)) {  // 1'000 is a number
    return at;
  }
  std::size_t end = at + 1;
  while (end < text.size() && text[end] != rest[0] && text[end] != '\n') {
    end += text[end] == '\\' ? std::size_t{2} : std::size_t{1};
  }
  return std::min(end + 1, text.size());
}

}  // namespace

std::string code_only(std::string_view text) {
  std::string code(text);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = skip(text, at);
    for (std::size_t i = at; i < end; ++i) {
      code[i] = code[i] == '\n' ? '\n' : ' ';
    }
    at = std::max(end, at + 1);
  }
  return code;
}

std::vector<std::string> breaches(std::string_view path, std::string_view text) {
  Checker checker(path);
  checker.check(text);
  return checker.found;
}

}  // namespace moesim::rules
