// SPDX-License-Identifier: Apache-2.0
// The header of a .npy file: magic, version, length, then a Python dictionary as text with the
// keys descr, fortran_order and shape.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>

#include "sim/moe/traces/npy.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 65'536;  // NumPy itself writes at most a few hundred bytes
constexpr std::size_t kMaxAxes = 8;

struct TypeFacts {
  std::string_view descr;
  std::size_t bytes;
};
constexpr std::array<TypeFacts, 11> kTypes = {{{"|u1", 1},
                                               {"|i1", 1},
                                               {"<u2", 2},
                                               {"<i2", 2},
                                               {"<u4", 4},
                                               {"<i4", 4},
                                               {"<u8", 8},
                                               {"<i8", 8},
                                               {"<f2", 2},
                                               {"<f4", 4},
                                               {"<f8", 8}}};

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Printable text, other bytes as \xHH.
std::string escaped(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    shown += byte >= 0x20 && byte < 0x7f ? std::string(1, c) : fmt::format("\\x{:02x}", byte);
  }
  return shown;
}

/// A cursor over the dictionary's text.
class HeaderText {
 public:
  HeaderText(const std::filesystem::path& path, std::string_view text) : path_(path), text_(text) {}

  bool accept(char c) {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == c) {
      ++at_;
      return true;
    }
    return false;
  }
  void expect(char c) {
    if (!accept(c)) {
      bad();
    }
  }
  std::string_view quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') {
      bad();
    }
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) {
      bad();
    }
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return inside;
  }
  bool truth() {
    skip_blanks();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    }
    bad();
  }
  std::int64_t whole_number() {
    skip_blanks();
    std::int64_t value = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc{} || value < 0) {
      bad();
    }
    at_ += static_cast<std::size_t>(end - begin);
    return value;
  }
  void expect_end() {
    skip_blanks();
    if (at_ != text_.size()) {
      bad();
    }
  }
  [[noreturn]] void bad() const {
    refuse(path_, fmt::format("the .npy header cannot be read at its character {}", at_ + 1));
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) {
      ++at_;
    }
  }

  const std::filesystem::path& path_;
  std::string_view text_;
  std::size_t at_ = 0;
};

struct Dictionary {
  std::optional<std::string_view> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::int64_t>> shape;
};

std::vector<std::int64_t> read_shape(HeaderText& text) {
  std::vector<std::int64_t> shape;
  text.expect('(');
  while (!text.accept(')')) {
    if (shape.size() == kMaxAxes) {
      text.bad();
    }
    shape.push_back(text.whole_number());
    if (!text.accept(',')) {
      text.expect(')');
      break;
    }
  }
  return shape;
}

Dictionary read_dictionary(const std::filesystem::path& path, std::string_view content) {
  HeaderText text(path, content);
  Dictionary found;
  text.expect('{');
  while (!text.accept('}')) {
    const std::string_view key = text.quoted();
    text.expect(':');
    if (key == "descr") {
      if (text.accept('[')) {
        refuse(path, "structured arrays are not read; save each field as its own array");
      }
      found.descr = text.quoted();
    } else if (key == "fortran_order") {
      found.fortran_order = text.truth();
    } else if (key == "shape") {
      found.shape = read_shape(text);
    } else {
      refuse(path, fmt::format("the .npy header has the unknown key \"{}\"", escaped(key)));
    }
    if (!text.accept(',')) {
      text.expect('}');
      break;
    }
  }
  text.expect_end();
  return found;
}

NumberType number_type(const std::filesystem::path& path, std::string_view name) {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    // One byte has no order; NumPy writes "|", other writers "<".
    if (name == kTypes[i].descr || (kTypes[i].bytes == 1 && name.starts_with('<') &&
                                    name.substr(1) == kTypes[i].descr.substr(1))) {
      return static_cast<NumberType>(i);
    }
  }
  if (name.find('O') != std::string_view::npos) {
    refuse(path, "pickled Python objects are never read; save the array with a number type");
  }
  if (name.starts_with('>')) {
    refuse(path,
           fmt::format("big-endian numbers (\"{}\") are not read; save the array as little-endian",
                       escaped(name)));
  }
  refuse(path,
         fmt::format("numbers of type \"{}\" are not read; expected u1, i1, u2, i2, u4, i4, u8, "
                     "i8, f2, f4 or f8",
                     escaped(name)));
}

std::size_t data_bytes(const std::filesystem::path& path,
                       std::span<const std::int64_t> shape,
                       NumberType type) {
  std::size_t bytes = bytes_per_number(type);
  for (const std::int64_t n : shape) {
    const auto size = static_cast<std::size_t>(n);
    if (size != 0 && bytes > static_cast<std::size_t>(PTRDIFF_MAX) / size) {
      refuse(path, fmt::format("shape {} is larger than any memory", shape_text(shape)));
    }
    bytes *= size;
  }
  return bytes;
}

struct Preamble {
  std::size_t offset = 0;  ///< of the dictionary
  std::size_t length = 0;  ///< of the dictionary
};

[[noreturn]] void short_header(const std::filesystem::path& path,
                               std::size_t needed,
                               std::size_t found) {
  refuse(path, fmt::format("truncated: the .npy header needs {} bytes, found {}", needed, found));
}

Preamble read_preamble(const std::filesystem::path& path, std::span<const std::byte> content) {
  const std::string_view start = text_of(content.first(std::min(content.size(), kMagic.size())));
  if (start != kMagic.substr(0, start.size())) {
    refuse(path,
           fmt::format("not a .npy file: it starts with \"{}\", expected \"\\x93NUMPY\"",
                       escaped(start)));
  }
  constexpr std::size_t kShort = 10;
  constexpr std::size_t kLong = 12;
  if (content.size() < kShort) {
    short_header(path, kShort, content.size());
  }
  const int major = std::to_integer<int>(content[6]);
  const int minor = std::to_integer<int>(content[7]);
  if (major < 1 || major > 3 || minor != 0) {
    refuse(path,
           fmt::format("version {}.{} of .npy is unknown; expected 1.0, 2.0 or 3.0", major, minor));
  }
  if (major == 1) {
    return {kShort, number_at<std::uint16_t>(content.data() + 8, 0)};
  }
  if (content.size() < kLong) {
    short_header(path, kLong, content.size());
  }
  return {kLong, number_at<std::uint32_t>(content.data() + 8, 0)};
}

}  // namespace

std::string_view descr(NumberType type) {
  return kTypes[static_cast<std::size_t>(type)].descr;
}

std::size_t bytes_per_number(NumberType type) {
  return kTypes[static_cast<std::size_t>(type)].bytes;
}

bool is_integer(NumberType type) {
  return type < NumberType::kF2;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  if (shape.size() == 1) {
    return fmt::format("({},)", shape[0]);
  }
  return fmt::format("({})", fmt::join(shape, ", "));
}

NpyHeader parse_npy_header(const std::filesystem::path& path, std::span<const std::byte> content) {
  const Preamble preamble = read_preamble(path, content);
  if (preamble.length > kMaxHeader) {
    refuse(
        path,
        fmt::format(
            "the .npy header claims {} bytes; at most {} are read", preamble.length, kMaxHeader));
  }
  const std::size_t end = preamble.offset + preamble.length;
  if (content.size() < end) {
    short_header(path, end, content.size());
  }
  const Dictionary found =
      read_dictionary(path, text_of(content.subspan(preamble.offset, preamble.length)));
  if (!found.descr || !found.fortran_order || !found.shape) {
    refuse(path, "the .npy header lacks one of the keys descr, fortran_order, shape");
  }
  const NumberType type = number_type(path, *found.descr);
  if (*found.fortran_order && found.shape->size() > 1) {
    refuse(path, "Fortran order is not read; save numpy.ascontiguousarray of it");
  }
  return {.type = type,
          .shape = *found.shape,
          .data_offset = end,
          .data_bytes = data_bytes(path, *found.shape, type)};
}

}  // namespace moesim::traces
