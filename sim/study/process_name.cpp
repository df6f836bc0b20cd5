// SPDX-License-Identifier: Apache-2.0
#include "sim/study/process_name.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

namespace moesim {
namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; stream >> word;) {
    words.push_back(word);
  }
  return words;
}

/// "HOST NAMESPACE"
std::string this_machine() {
  std::array<char, 256> host{};
  const bool named = ::gethostname(host.data(), host.size() - 1) == 0 && host[0] != '\0';
  std::error_code failed;
  const std::string space = std::filesystem::read_symlink("/proc/self/ns/pid", failed).string();
  return fmt::format("{} {}", named ? host.data() : "unknown", failed ? "unknown" : space);
}

/// Start of a process, "" where there is none: field 22 of its stat, counted behind the name in
/// brackets, which may hold blanks.
std::string start_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) {
    return "";
  }
  const std::vector<std::string> fields = words_of(std::string_view(line).substr(name_end + 1));
  return fields.size() > 19 ? fields[19] : "";
}

}  // namespace

std::string this_process() {
  const std::string pid = fmt::format("{}", ::getpid());
  return fmt::format("{} {} {}", this_machine(), pid, start_of(pid));
}

bool has_ended(std::string_view process) {
  const std::vector<std::string> words = words_of(process);
  const bool is_here = words.size() == 4 && words[0] + " " + words[1] == this_machine();
  return is_here && start_of(words[2]) != words[3];
}

std::string process_words(const std::string& process) {
  const std::vector<std::string> words = words_of(process);
  return words.size() == 4 ? fmt::format("process {} on {}", words[2], words[0]) : process;
}

}  // namespace moesim
