// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/raw_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "gpu_ref/measure/json_line.hpp"
#include "gpu_ref/measure/mistake.hpp"
#include "gpu_ref/measure/record.hpp"

namespace moesim::measure {
namespace {

[[noreturn]] void fail(const char* call, const std::string& file) {
  throw std::runtime_error(std::string("cannot ") + call + " " + file + ": " +
                           std::strerror(errno));
}

std::string text_of(const std::string& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    return "";
  }
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf() || in.peek() == std::ifstream::traits_type::eof())) {
    throw std::runtime_error("cannot read " + file);
  }
  return text.str();
}

/// Adds what one whole line holds; false if it is no line of ours.
bool take_line(std::string_view line, RawContents& contents) {
  const auto fields = outer_fields(line);
  const auto is = [&](std::string_view key, std::string_view value) {
    const auto found = fields->find(key);
    return found != fields->end() && found->second == value;
  };
  if (!fields || !is("format", kRawFormat) || !is("schema", std::to_string(kRawSchema))) {
    return false;
  }
  const auto name = fields->find("case");
  const auto device = fields->find("device");
  const auto device_fields = device == fields->end() ? std::nullopt : outer_fields(device->second);
  if (name == fields->end() || !device_fields || !device_fields->contains("name")) {
    return false;
  }
  contents.cases.insert(name->second);
  contents.gpus.insert(device_fields->at("name"));
  return true;
}

}  // namespace

RawContents read_raw(const std::string& file) {
  const std::string text = text_of(file);
  RawContents contents;
  std::size_t begin = 0;
  for (int number = 1; begin < text.size(); ++number) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) {
      break;
    }
    if (!take_line(std::string_view(text).substr(begin, end - begin), contents)) {
      throw KitMistake(file + ":" + std::to_string(number) + ": not a line of schema " +
                       std::to_string(kRawSchema) + " of " + kRawFormat);
    }
    begin = end + 1;
  }
  contents.torn_bytes = text.size() - begin;
  return contents;
}

RawFile::RawFile(const std::string& file, std::size_t torn_bytes) : file_(file) {
  std::error_code ignored;  // a folder that cannot be made shows when the file is opened
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  if (!folder.empty()) {
    std::filesystem::create_directories(folder, ignored);
  }
  descriptor_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    fail("open", file);
  }
  struct stat facts {};
  const bool cut = torn_bytes == 0 ||
                   (::fstat(descriptor_, &facts) == 0 &&
                    ::ftruncate(descriptor_, facts.st_size - static_cast<off_t>(torn_bytes)) == 0);
  if (!cut) {
    ::close(descriptor_);
    fail("cut the torn line of", file);
  }
}

RawFile::~RawFile() {
  ::close(descriptor_);
}

void RawFile::append(std::string_view line) {
  const std::string whole = std::string(line) + "\n";
  std::string_view rest = whole;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) {
      fail("write", file_);
    }
    rest.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
  }
  if (::fdatasync(descriptor_) != 0 && errno != EINVAL) {  // EINVAL: a pipe or device
    fail("sync", file_);
  }
}

}  // namespace moesim::measure
