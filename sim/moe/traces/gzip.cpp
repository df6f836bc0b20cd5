// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/gzip.hpp"

#include <fmt/core.h>
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
constexpr std::size_t kBlock = std::size_t{1} << 20U;
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

/// Whether the stream goes on; throws when it is cut or broken.
bool goes_on(const std::filesystem::path& path, int status, std::size_t size) {
  if (status == Z_STREAM_END) {
    return false;
  }
  if (status == Z_BUF_ERROR) {
    refuse(path, fmt::format("truncated: the gzip stream ends after {} bytes of content", size));
  }
  if (status != Z_OK) {
    refuse(path, fmt::format("damaged: the gzip stream breaks after {} bytes of content", size));
  }
  return true;
}

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
    if (!goes_on(path, inflater.status(), size)) {
      break;
    }
  }
  plain.resize(size);
  return plain;
}

void gunzip_blocks(const std::filesystem::path& path,
                   std::span<const std::byte> packed,
                   const std::function<bool(std::span<const std::byte>)>& take) {
  if (!is_gzip(packed)) {
    refuse(path, "not a gzip file");
  }
  Inflater inflater(packed);
  std::vector<std::byte> block(kBlock);
  std::size_t size = 0;
  bool more = true;
  while (more) {
    const std::size_t got = inflater.fill(block);
    size += got;
    const bool wanted = take(std::span(block).first(got));
    more = wanted && goes_on(path, inflater.status(), size);
  }
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

class GzipFile::Deflater {
 public:
  Deflater() {
    MOESIM_CHECK(
        deflateInit2(&stream_, kLevel, Z_DEFLATED, kGzipWindow, 9, Z_DEFAULT_STRATEGY) == Z_OK,
        "zlib would not start");
  }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  ~Deflater() { deflateEnd(&stream_); }

  /// Calls out(piece) for what comes of the next bytes; `end` after the last of them.
  template <typename F>
  void feed(std::string_view plain, bool end, F&& out) {
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(plain.data()));
    std::size_t left = plain.size();
    int status = Z_OK;
    do {
      const uInt in = piece(left);
      stream_.avail_in = in;
      stream_.next_out = reinterpret_cast<Bytef*>(room_.data());
      stream_.avail_out = static_cast<uInt>(room_.size());
      status = deflate(&stream_, end && in == left ? Z_FINISH : Z_NO_FLUSH);
      MOESIM_CHECK(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR,
                   "zlib goes on");
      left -= in - stream_.avail_in;
      out(std::string_view(room_.data(), room_.size() - stream_.avail_out));
    } while (end ? status != Z_STREAM_END : left > 0 || stream_.avail_out == 0);
  }

 private:
  // Ids hold few long matches: level 6 makes them 2 % smaller in four times the time.
  static constexpr int kLevel = Z_BEST_SPEED;

  z_stream stream_{};
  std::string room_ = std::string(kFirstOutput, '\0');
};

GzipFile::GzipFile(const std::filesystem::path& path)
    : file_(path), deflater_(std::make_unique<Deflater>()) {}

GzipFile::~GzipFile() = default;

void GzipFile::append(std::string_view plain) {
  deflater_->feed(plain, false, [&](std::string_view packed) { file_.append(packed); });
}

void GzipFile::commit() {
  deflater_->feed({}, true, [&](std::string_view packed) { file_.append(packed); });
  file_.commit();
}

std::string gzip(std::string_view plain) {
  std::string packed;
  GzipFile::Deflater().feed(plain, true, [&](std::string_view some) { packed += some; });
  return packed;
}

}  // namespace moesim::traces
