// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/gzip.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "sim/core/check.hpp"
#include "sim/moe/traces/mapped_file.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

constexpr int kGzipWindow = 15 + 16;  // largest window; +16 asks zlib for the gzip wrapping
constexpr std::size_t kFirstOutput = 65'536;
constexpr std::size_t kMostPiece = std::numeric_limits<uInt>::max() / 2;

uInt piece(std::size_t bytes) {
  return static_cast<uInt>(std::min(bytes, kMostPiece));
}

/// A zlib inflater over one buffer; ended at the end of its scope.
class Inflater {
 public:
  explicit Inflater(std::span<const std::byte> packed) : left_(packed.size()) {
    // zlib reads only, but asks for a pointer to non-const.
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(packed.data()));
    MOESIM_CHECK(inflateInit2(&stream_, kGzipWindow) == Z_OK, "zlib would not start");
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  /// Fills `out` from its start; returns how many bytes came, and sets status().
  std::size_t fill(std::span<std::byte> out) {
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    std::size_t done = 0;
    while (done < out.size()) {
      const uInt in = piece(left_);
      const uInt room = piece(out.size() - done);
      stream_.avail_in = in;
      stream_.avail_out = room;
      status_ = ::inflate(&stream_, Z_NO_FLUSH);
      left_ -= in - stream_.avail_in;
      done += room - stream_.avail_out;
      if (status_ == Z_STREAM_END && !next_member()) {
        break;
      }
      if (status_ != Z_OK) {
        break;
      }
    }
    return done;
  }
  [[nodiscard]] int status() const { return status_; }

 private:
  /// gzip files may be several streams one after the other.
  bool next_member() {
    if (left_ == 0) {
      return false;
    }
    status_ = inflateReset(&stream_);
    return true;
  }

  z_stream stream_{};
  std::size_t left_;
  int status_ = Z_OK;
};

}  // namespace

bool is_gzip(std::span<const std::byte> content) {
  return content.size() >= 2 && content[0] == std::byte{0x1f} && content[1] == std::byte{0x8b};
}

std::vector<std::byte> gunzip(const std::filesystem::path& path,
                              std::span<const std::byte> packed,
                              std::size_t most) {
  if (!is_gzip(packed)) {
    refuse(path, "not a gzip file");
  }
  Inflater inflater(packed);
  std::vector<std::byte> plain;
  std::size_t size = 0;
  while (size < most) {
    if (size == plain.size()) {
      plain.resize(std::min(most, std::max(kFirstOutput, 2 * size)));
    }
    size += inflater.fill(std::span(plain).subspan(size));
    if (inflater.status() == Z_STREAM_END) {
      break;
    }
    if (inflater.status() == Z_BUF_ERROR) {
      refuse(path, fmt::format("truncated: the gzip stream ends after {} bytes of content", size));
    }
    if (inflater.status() != Z_OK) {
      refuse(path, fmt::format("damaged: the gzip stream breaks after {} bytes of content", size));
    }
  }
  plain.resize(size);
  return plain;
}

std::string read_text(const std::filesystem::path& path, std::size_t most) {
  const MappedFile file(path);
  const std::span<const std::byte> content = file.content();
  std::vector<std::byte> plain;
  std::span<const std::byte> text = content;
  if (is_gzip(content)) {
    plain = gunzip(path, content, most + 1);
    text = plain;
  }
  if (text.size() > most) {
    refuse(path, fmt::format("longer than {} bytes, the most that is read", most));
  }
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

std::string gzip(std::string_view plain) {
  z_stream stream{};
  MOESIM_CHECK(
      deflateInit2(
          &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 9, Z_DEFAULT_STRATEGY) == Z_OK,
      "zlib would not start");
  std::string packed(deflateBound(&stream, plain.size()), '\0');
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(plain.data()));
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  std::size_t in_left = plain.size();
  std::size_t out_left = packed.size();
  int status = Z_OK;
  while (status == Z_OK) {
    const uInt in = piece(in_left);
    const uInt room = piece(out_left);
    stream.avail_in = in;
    stream.avail_out = room;
    status = deflate(&stream, in == in_left ? Z_FINISH : Z_NO_FLUSH);
    in_left -= in - stream.avail_in;
    out_left -= room - stream.avail_out;
  }
  deflateEnd(&stream);
  MOESIM_CHECK(status == Z_STREAM_END, "zlib did not finish");
  packed.resize(packed.size() - out_left);
  return packed;
}

}  // namespace moesim::traces
