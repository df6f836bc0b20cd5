// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/meeting.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace moesim::measure {

void publish(const std::string& file, std::string_view text) {
  const std::string temporary = file + ".part";
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    out.close();
    if (!out) {
      throw std::runtime_error("cannot write " + temporary);
    }
  }
  std::filesystem::rename(temporary, file);
}

std::string await(const std::string& file, std::size_t size, std::chrono::milliseconds patience) {
  constexpr std::chrono::milliseconds kPause(50);
  const auto end = std::chrono::steady_clock::now() + patience;
  do {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (in && text << in.rdbuf() && text.str().size() == size) {
      return text.str();
    }
    std::this_thread::sleep_for(kPause);
  } while (std::chrono::steady_clock::now() < end);
  throw std::runtime_error("the first process wrote no " + file +
                           "; is the raw file on a file system that all nodes share?");
}

}  // namespace moesim::measure
