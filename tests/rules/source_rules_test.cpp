// SPDX-License-Identifier: Apache-2.0
// Every source file obeys the rules of the project, and the checker notices one that does not.
#include "tests/rules/source_rules.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace moesim::rules {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kLicence = "// SPDX-License-Identifier: Apache-2.0\n";

std::vector<std::string> with_licence(std::string_view path, const std::string& text) {
  return breaches(path, kLicence + text);
}

/// Sources of the repository, seen from its root, sorted.
std::vector<fs::path> sources() {
  const fs::path root = MOESIM_SOURCE_DIR;
  std::vector<fs::path> found;
  for (const char* folder : {"sim", "topology", "gpu_ref", "tests", "bench", "python"}) {
    if (!fs::is_directory(root / folder)) {
      continue;
    }
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension == ".cpp" || extension == ".hpp" || extension == ".cu" || extension == ".cuh") {
        found.push_back(entry.path().lexically_relative(root));
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(fs::path(MOESIM_SOURCE_DIR) / path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(SourceRules, EverySourceFileObeysThem) {
  const std::vector<fs::path> files = sources();
  EXPECT_GT(files.size(), 100U);
  std::vector<std::string> found;
  for (const fs::path& file : files) {
    const std::vector<std::string> more = breaches(file.generic_string(), text_of(file));
    found.insert(found.end(), more.begin(), more.end());
  }
  EXPECT_THAT(found, IsEmpty());
}

TEST(SourceRules, AModuleThatIncludesAHigherOneIsFound) {
  EXPECT_THAT(with_licence("sim/core/units.hpp", "#include \"sim/des/event_queue.hpp\"\n"),
              ElementsAre("sim/core/units.hpp:2: core must not include sim/des/event_queue.hpp"));
  EXPECT_THAT(with_licence("topology/paths.cpp", "#include \"sim/network/network.hpp\"\n"),
              ElementsAre("topology/paths.cpp:2: topology must not include "
                          "sim/network/network.hpp"));
  EXPECT_THAT(with_licence("sim/network/fluid.cpp", "\n#include \"sim/moe/dispatch.hpp\"\n"),
              ElementsAre("sim/network/fluid.cpp:3: network must not include "
                          "sim/moe/dispatch.hpp"));
  EXPECT_THAT(with_licence("sim/report/table.cpp", "#  include \"topology/cluster.hpp\"\n"),
              ElementsAre("sim/report/table.cpp:2: report must not include topology/cluster.hpp"));
  EXPECT_THAT(with_licence("sim/scenario/assemble.cpp", "#include \"sim/cli/console.hpp\"\n"),
              ElementsAre("sim/scenario/assemble.cpp:2: scenario must not include "
                          "sim/cli/console.hpp"));
}

TEST(SourceRules, LowerModulesAndOnesOwnAreFreeToInclude) {
  EXPECT_THAT(
      with_licence("sim/moe/traces/pack.cpp",
                   "#include <vector>\n#include \"sim/moe/routing.hpp\"\n"
                   "#include \"sim/network/network.hpp\"\n#include \"topology/paths.hpp\"\n"),
      IsEmpty());
  EXPECT_THAT(with_licence("sim/cli/main.cpp", "#include \"sim/scenario/assemble.hpp\"\n"),
              IsEmpty());
}

TEST(SourceRules, AModuleOutsideTheTableIsFound) {
  EXPECT_THAT(with_licence("sim/magic/a.cpp", "#include <vector>\n"),
              ElementsAre("sim/magic/a.cpp:2: module magic has no place in the table of layers"));
}

TEST(SourceRules, LibrariesKeptToOneFileAreFoundElsewhere) {
  EXPECT_THAT(
      with_licence("sim/scenario/fields.cpp", "#include <toml++/toml.h>\n"),
      ElementsAre("sim/scenario/fields.cpp:2: only sim/scenario/toml_reader.cpp includes toml++/"));
  EXPECT_THAT(with_licence("sim/network/fluid.cpp", "#include <simgrid/s4u.hpp>\n"),
              ElementsAre("sim/network/fluid.cpp:2: only sim/network/simgrid_ includes "
                          "simgrid/"));
  EXPECT_THAT(with_licence("sim/scenario/toml_reader.cpp", "#include <toml++/toml.h>\n"),
              IsEmpty());
}

TEST(SourceRules, PrintingAndExitingBelowTheProgramIsFound) {
  for (const char* line : {"std::cout << 1;\n",
                           "std::cerr << 1;\n",
                           "printf(\"x\");\n",
                           "std::printf(\"x\");\n",
                           "fmt::print(\"x\");\n",
                           "exit(1);\n",
                           "std::exit(1);\n",
                           "std::abort();\n"}) {
    EXPECT_THAT(with_licence("sim/moe/a.cpp", line),
                ElementsAre("sim/moe/a.cpp:2: only sim/cli prints or ends the program"))
        << line;
    EXPECT_THAT(with_licence("sim/cli/a.cpp", line), IsEmpty()) << line;
  }
}

TEST(SourceRules, WordsInCommentsAndLiteralsAndLongerWordsAreNoCalls) {
  EXPECT_THAT(
      with_licence("sim/moe/a.cpp",
                   "// std::cout\n/* exit(1)\n exit(2) */\nauto a = \"exit(1) \\\" exit(\";\n"
                   "auto b = R\"x(printf(\")x\";\n_exit(0); on_exit(0); snprintf(p);\n"
                   "queue.exit(1); int n = 1'000; exit_code(n);\n"
                   "// #include \"sim/cli/console.hpp\"\n"),
      IsEmpty());
}

TEST(SourceRules, ParentFoldersInIncludesAreFound) {
  EXPECT_THAT(with_licence("sim/moe/a.cpp", "#include \"../core/units.hpp\"\n"),
              ElementsAre("sim/moe/a.cpp:2: include paths start at the root, found "
                          "../core/units.hpp"));
  EXPECT_THAT(with_licence("sim/moe/a.cpp", "#include \"tests/x.hpp\"\n"),
              ElementsAre("sim/moe/a.cpp:2: the program must not include tests/x.hpp"));
}

TEST(SourceRules, AMissingLicenceAndALongFileAreFound) {
  EXPECT_THAT(breaches("tests/a.cpp", "int a;\n"),
              ElementsAre("tests/a.cpp:1: the first line is not \"// SPDX-License-Identifier: "
                          "Apache-2.0\""));
  std::string lines;
  for (int i = 0; i < 399; ++i) {
    lines += "int a;\n";
  }
  EXPECT_THAT(with_licence("tests/a.cpp", lines), IsEmpty());
  EXPECT_THAT(with_licence("tests/a.cpp", lines + "\n"),
              ElementsAre("tests/a.cpp:401: more than 400 lines"));
}

}  // namespace
}  // namespace moesim::rules
