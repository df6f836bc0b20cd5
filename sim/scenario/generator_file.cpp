// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/generator_file.hpp"

#include <fmt/core.h>

#include <sstream>
#include <system_error>

#include "sim/core/atomic_file.hpp"
#include "sim/core/text.hpp"
#include "sim/scenario/cross_checks.hpp"
#include "sim/scenario/data_folder.hpp"
#include "sim/scenario/field_reader.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/scenario/toml_reader.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

/// The file of a name or a path.
fs::path generator_path(const std::string& name) {
  if (is_path(name)) {
    return name;
  }
  const fs::path folder = data_folder() / "routing";
  fs::path file = folder / (name + ".toml");
  std::error_code failed;
  if (!fs::is_regular_file(file, failed)) {
    const std::vector<std::string> names = preset_names(folder);
    const std::vector<std::string_view> views(names.begin(), names.end());
    throw UserError(
        fmt::format("{} is no generator; known: {}", quoted_text(name), word_list(views)));
  }
  return file;
}

/// The part of a resolved scenario between [routing.generated] and the next table.
std::string generated_table(const std::string& resolved) {
  const std::size_t begin = resolved.find("[routing.generated]");
  const std::size_t end = resolved.find("\n\n[", begin);
  return "[generated]" +
         resolved.substr(begin + std::string_view("[routing.generated]").size(),
                         end - begin - std::string_view("[routing.generated]").size());
}

}  // namespace

GeneratorSpec load_generator(const std::string& name) {
  const fs::path file = generator_path(name);
  ConfigTree tree;
  ConfigEntry table;
  table.path = "routing";
  table.value = TableHeader{};
  table.place.file = file.string();
  tree.put(std::move(table));
  tree.add_missing(parse_toml(read_file(file), file.string(), "routing."));
  const FieldReading reading = read_fields(tree, file.string());
  std::vector<Diagnostic> mistakes;
  for (const Diagnostic& found : reading.diagnostics) {
    if (found.key.starts_with("routing.")) {
      mistakes.push_back(found);
    }
  }
  const std::vector<Diagnostic> more = generator_checks(tree, reading);
  mistakes.insert(mistakes.end(), more.begin(), more.end());
  if (mistakes.empty() && reading.scenario.routing.source != RoutingOrigin::kGenerated) {
    Diagnostic wrong;
    wrong.place.file = file.string();
    wrong.key = "routing.source";
    wrong.message = "expected \"generated\"";
    mistakes.push_back(std::move(wrong));
  }
  if (!mistakes.empty()) {
    throw UserError(std::move(mistakes));
  }
  return reading.scenario.routing.generated;
}

std::string generator_toml(const GeneratorSpec& spec, const std::string& comment) {
  Scenario scenario;
  scenario.routing.source = RoutingOrigin::kGenerated;
  scenario.routing.generated = spec;
  std::string text = "# SPDX-License-Identifier: Apache-2.0\n";
  std::istringstream lines(comment);
  for (std::string line; std::getline(lines, line);) {
    text += line.empty() ? "#\n" : fmt::format("# {}\n", line);
  }
  return text + "source = \"generated\"\n\n" + generated_table(resolved_toml(scenario)) + "\n";
}

}  // namespace moesim
