// SPDX-License-Identifier: Apache-2.0
// Importance matrices of llama.cpp, written here, read back number by number, and what is refused.
#include <gmock/gmock-matchers.h>

#include "tests/moe/traces/import_fixture.hpp"

namespace moesim::traces {
namespace {

using testing::ElementsAre;

std::string gguf_text(const std::string& text) {
  return raw(std::uint64_t{text.size()}) + text;
}

std::string gguf_tensor(const std::string& name,
                        std::uint64_t experts,
                        std::uint64_t offset,
                        std::uint32_t type = 0) {
  return gguf_text(name) + raw(std::uint32_t{2}) + raw(std::uint64_t{1}) + raw(experts) +
         raw(type) + raw(offset);
}

/// `infos` of `tensors` tensors, then 32-byte aligned data.
std::string gguf(int tensors, const std::string& infos, const std::vector<float>& data) {
  std::string text = "GGUF" + raw(std::uint32_t{3}) + raw(static_cast<std::uint64_t>(tensors)) +
                     raw(std::uint64_t{3});
  text += gguf_text("general.type") + raw(std::uint32_t{8}) + gguf_text("imatrix");
  text += gguf_text("general.alignment") + raw(std::uint32_t{4}) + raw(std::uint32_t{32});
  text += gguf_text("imatrix.datasets") + raw(std::uint32_t{9}) + raw(std::uint32_t{8}) +
          raw(std::uint64_t{1}) + gguf_text("calibration.txt");
  text += infos;
  text.resize((text.size() + 31) / 32 * 32);
  for (const float number : data) {
    text += raw(number);
  }
  return text;
}

std::string gate(int layer) {
  return "blk." + std::to_string(layer) + ".ffn_gate_exps.weight.counts";
}

class Imatrix : public Import {
 protected:
  Imatrix() {
    options_.experts.reset();
    options_.top_k = 1;
  }
};

TEST_F(Imatrix, CountsOfEveryLayerBecomeAStep) {
  write("x.gguf",
        gguf(3,
             gguf_tensor(gate(10), 3, 0) + gguf_tensor("blk.2.attn_k.weight.counts", 1, 96) +
                 gguf_tensor(gate(2), 3, 32),
             {1, 2, 3, 0, 0, 0, 0, 0, 4, 5, 6}));
  const ImportReport report = run("x.gguf");
  EXPECT_EQ(report.form, "llama.cpp importance matrix");
  const RoutePack read = pack();
  EXPECT_EQ(read.header.experts, 3);
  EXPECT_EQ(read.header.first_moe_layer, 2);
  EXPECT_THAT(step_counts(read, 0, 0), ElementsAre(4, 5, 6));  // layer 2 before 10
  EXPECT_THAT(step_counts(read, 0, 1), ElementsAre(1, 2, 3));
}

TEST_F(Imatrix, RefusesWhatDoesNotFit) {
  const auto refused = [&](const std::string& text) {
    write("x.gguf", text);
    return refusal("x.gguf");
  };
  const std::string at = "x.gguf: error: ";
  const std::string whole = gguf(1, gguf_tensor(gate(0), 3, 0), {1, 2, 3});
  EXPECT_EQ(refused(gguf(0, "", {})), at + "no tensors blk.<layer>.ffn_gate_exps.weight.counts");
  EXPECT_EQ(refused(whole.substr(0, whole.size() - 1)),
            at + "layer 0: its counts do not fit the first layer's or the file");
  EXPECT_EQ(refused(whole.substr(0, 60)), at + "truncated, or not a GGUF file");
  EXPECT_EQ(refused("GGUF" + raw(std::uint32_t{1})),
            at + "GGUF version 1 (of this byte order); expected 2 or 3");
  EXPECT_EQ(refused(gguf(1, gguf_tensor(gate(0), 3, 0, 1), {1, 2, 3})),
            at + "tensor \"blk.0.ffn_gate_exps.weight.counts\": expected 1 to 65534 F32 counts");
  EXPECT_EQ(refused(gguf(1, gguf_tensor(gate(0), ~std::uint64_t{0}, 0), {1, 2, 3})),
            at + "tensor \"blk.0.ffn_gate_exps.weight.counts\": expected 1 to 65534 F32 counts");
  EXPECT_EQ(refused(gguf(1, gguf_tensor(gate(0), 3, 0), {1, 2.5F, 3})),
            at + "layer 0, expert 1: count 2.5; expected a whole number up to 4294967295");
  options_.top_k.reset();
  EXPECT_EQ(refused(whole), at + "top_k is needed as counts do not say how many a token has");
}

// Prefixes and flipped bytes end in a pack or a message, never in a crash.
TEST_F(Imatrix, DamageNeverCrashes) {
  const std::string whole = gguf(1, gguf_tensor(gate(0), 3, 0), {1, 2, 3});
  for (std::size_t i = 0; i < whole.size(); i += 3) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x7f);
    for (const std::string& text : {whole.substr(0, i), flipped}) {
      write("x.gguf", text);
      options_.overwrite = true;
      (void)user_error(dir_, [&] { (void)run("x.gguf"); });
    }
  }
}

}  // namespace
}  // namespace moesim::traces
