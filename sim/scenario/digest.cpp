// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/digest.hpp"

#include <fmt/core.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <span>
#include <system_error>
#include <vector>

#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail(const fs::path& path, const std::string& reason) {
  throw EnvironmentError(fmt::format("cannot read {}: {}", path.string(), reason));
}

/// A running SHA-256.
class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void update(std::string_view bytes) {
    require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  [[nodiscard]] std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    require(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    std::string text;
    for (const unsigned char byte : std::span(digest).first(size)) {
      text += fmt::format("{:02x}", byte);
    }
    return text;
  }

 private:
  static void require(bool done) {
    if (!done) {
      throw EnvironmentError("OpenSSL cannot compute SHA-256");
    }
  }
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

std::string file_digest(const fs::path& path, const Pace& pace) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    fail(path, std::strerror(errno));
  }
  Sha256 digest;
  std::error_code unknown;
  const auto size = static_cast<std::int64_t>(fs::file_size(path, unknown));
  std::int64_t done = 0;
  std::vector<char> buffer(std::size_t{1} << 16U);
  do {
    tell(pace, "hashing", done, unknown ? 0 : size);
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    digest.update({buffer.data(), static_cast<std::size_t>(file.gcount())});
    done += file.gcount();
  } while (file);
  if (file.bad()) {
    fail(path, "input/output error");
  }
  return digest.hex();
}

std::string folder_digest(const fs::path& folder, const Pace& pace) {
  std::error_code failed;
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failed)) {
    if (entry.is_regular_file()) {
      names.push_back(entry.path().filename().string());
    }
  }
  if (failed) {
    fail(folder, failed.message());
  }
  std::sort(names.begin(), names.end());
  Sha256 digest;
  for (const std::string& name : names) {
    digest.update(fmt::format("{}  {}\n", file_digest(folder / name, pace), name));
  }
  return digest.hex();
}

}  // namespace

std::string sha256_hex(const fs::path& path, const Pace& pace) {
  std::error_code failed;
  return fs::is_directory(path, failed) ? folder_digest(path, pace) : file_digest(path, pace);
}

std::string sha256_hex_of_text(std::string_view text) {
  Sha256 digest;
  digest.update(text);
  return digest.hex();
}

}  // namespace moesim
