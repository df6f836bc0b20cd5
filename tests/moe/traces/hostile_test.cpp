// SPDX-License-Identifier: Apache-2.0
// Spoiled files end in a clear error: never in a crash, a hang or another kind of exception.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/import.hpp"
#include "sim/moe/traces/skew.hpp"
#include "tests/moe/traces/fixture.hpp"

namespace moesim::traces {
namespace {

/// A few bytes changed, or the end cut off.
std::string spoiled(std::string content) {
  if (*rc::gen::inRange(0, 3) == 0) {
    content.resize(*rc::gen::inRange<std::size_t>(0, content.size()));
    return content;
  }
  const int changes = *rc::gen::inRange(1, 6);
  for (int i = 0; i < changes; ++i) {
    content[*rc::gen::inRange<std::size_t>(0, content.size())] = *rc::gen::arbitrary<char>();
  }
  return content;
}

/// True if f returned or threw what a user's file may cause.
template <typename F>
bool ends_well(F&& f) {
  try {
    f();
  } catch (const UserError& error) {
    return std::string_view(error.what()).size() > 7;
  } catch (const EnvironmentError&) {
    return true;
  }
  return true;
}

void write_plain(const std::filesystem::path& path, const std::string& content) {
  std::FILE* const file = std::fopen(path.c_str(), "wb");  // no sync: thousands of files
  RC_ASSERT(file != nullptr);
  RC_ASSERT(std::fwrite(content.data(), 1, content.size(), file) == content.size());
  std::fclose(file);
}

/// One pack for all cases of a property, restored file by file.
class SpoiledPack {
 public:
  SpoiledPack() { write_pack(small_pack(dir_ / "p", true), "", false); }

  bool survives(const char* name) {
    const std::filesystem::path path = dir_ / "p" / name;
    const std::string whole = read_file(path);
    write_plain(path, spoiled(whole));
    const bool well = ends_well([&] {
      const auto source = open_routing_source(
          {.trace = (dir_ / "p").string(), .draw = TraceDraw::kSequences, .domains = {}}, 2, 3, 1);
      (void)source->route(1, 0);
      (void)measure_skew(read_pack(dir_ / "p"));
    });
    write_plain(path, whole);
    return well;
  }

  bool survives_unpacked(const char* name) {
    const std::filesystem::path path = dir_ / "p" / name;
    const std::string packed = read_file(path);
    const std::filesystem::path plain = std::filesystem::path(path).replace_extension();
    std::filesystem::rename(path, dir_ / "aside");
    const auto whole = gunzip(path, std::as_bytes(std::span(packed)), 1U << 20U);
    write_plain(plain, std::string(reinterpret_cast<const char*>(whole.data()), whole.size()));
    const bool well = survives(plain.filename().c_str());
    std::filesystem::remove(plain);
    std::filesystem::rename(dir_ / "aside", path);
    return well;
  }

 private:
  ScratchDir dir_;
};

SpoiledPack& spoiled_pack() {
  static SpoiledPack pack;
  return pack;
}

RC_GTEST_PROP(HostileFiles, SpoiledHeadersEndInAnError, ()) {
  RC_ASSERT(spoiled_pack().survives("pack.json"));
}

RC_GTEST_PROP(HostileFiles, SpoiledSequencesEndInAnError, ()) {
  RC_ASSERT(spoiled_pack().survives("sequences.csv"));
}

RC_GTEST_PROP(HostileFiles, SpoiledPackedIdsEndInAnError, ()) {
  RC_ASSERT(spoiled_pack().survives("topk.npy.gz"));
}

RC_GTEST_PROP(HostileFiles, SpoiledPlainIdsEndInAnError, ()) {
  RC_ASSERT(spoiled_pack().survives_unpacked("topk.npy.gz"));
}

RC_GTEST_PROP(HostileFiles, SpoiledPlainWeightsEndInAnError, ()) {
  RC_ASSERT(spoiled_pack().survives_unpacked("weights.npy.gz"));
}

RC_GTEST_PROP(HostileFiles, AnyBytesImportOrEndInAnError, ()) {
  static const ScratchDir dir;
  const auto lines = *rc::gen::element<std::string>(
      "model,domain,layer,expert,count\nm,d,0,0,3\nm,d,0,1,2\n",
      R"({"provenance": {"expert_count": 4}})"
      "\n"
      R"({"phase": "p", "request_id": "r", "routing": [{"expert_ids": [1, 2], "layer_index": 3}]})",
      npy_preamble(NumberType::kI2, std::vector<std::int64_t>{1, 2, 2}) + std::string(8, '\0'),
      gzip("model,layer,expert,count\nm,0,0,3\n"));
  write_plain(dir / "dump", spoiled(lines));
  ImportOptions options;
  options.experts = 4;
  options.top_k = 1;
  options.drop_padding = options.drop_warmup = options.overwrite = true;
  RC_ASSERT(ends_well([&] { (void)import_trace(dir / "dump", dir / "p", options); }));
}

}  // namespace
}  // namespace moesim::traces
