// The bytes on the wire, pinned: tests/golden holds each message field by field.
//
// A change here is a change of the protocol: it needs engine/PROTOCOL.md and, once released, a new
// version. With CPAWAY_WRITE_GOLDEN set the files are written anew instead.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "engine/base/strings.h"
#include "tests/engine/wire/samples.h"

namespace cpaway::testing {
namespace {

std::string golden_path(const std::string& name) {
  return concat(CPAWAY_GOLDEN_DIR, "/", name, ".hex");
}

std::string heading(const Sample& sample) {
  return sample.answer ? "[answer]" : "[request]";
}

// The bytes below each heading; what follows "#" is for the reader.
std::map<std::string, Bytes> read_golden(const std::string& name) {
  std::ifstream file(golden_path(name));
  EXPECT_TRUE(file) << golden_path(name);
  std::map<std::string, Bytes> sections;
  std::string current;
  for (std::string line; std::getline(file, line);) {
    line = line.substr(0, line.find('#'));
    if (line.starts_with("[")) {
      current = line;
      continue;
    }
    std::erase(line, ' ');
    for (size_t i = 0; i + 1 < line.size(); i += 2) {
      sections[current].push_back(static_cast<uint8_t>(std::stoul(line.substr(i, 2), nullptr, 16)));
    }
  }
  return sections;
}

void write_golden(const std::vector<Sample>& samples) {
  std::map<std::string, std::string> files;
  for (const Sample& sample : samples) {
    files[sample.name] += concat(heading(sample), "\n", sample.text);
  }
  for (const auto& [name, text] : files) {
    std::ofstream(golden_path(name)) << text;
  }
}

wire::Incoming parse(ByteSpan bytes) {
  wire::FrameReader reader;
  while (!bytes.empty()) {
    const auto space = reader.space();
    const size_t size = std::min(space.size(), bytes.size());
    std::copy_n(bytes.begin(), size, space.begin());
    reader.filled(size);
    bytes = bytes.subspan(size);
    auto frame = reader.next();
    EXPECT_TRUE(frame);
    if (frame && *frame) {
      EXPECT_TRUE(bytes.empty());
      return std::move(**frame);
    }
  }
  ADD_FAILURE() << "no whole frame";
  return {};
}

TEST(Golden, EachMessageIsWrittenAndReadAsEver) {
  const auto samples = all_samples();
  if (std::getenv("CPAWAY_WRITE_GOLDEN") != nullptr) {
    write_golden(samples);
  }
  for (const Sample& sample : samples) {
    SCOPED_TRACE(concat(sample.name, " ", heading(sample)));
    const Bytes golden = read_golden(sample.name)[heading(sample)];
    EXPECT_EQ(hash::to_hex(sample.frame), hash::to_hex(golden));
    const auto again = sample.repack(parse(golden));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(*again, golden);
  }
}

TEST(Golden, CoversEveryOperation) {
  std::set<std::string> requests;
  std::set<std::string> answers;
  for (const Sample& sample : all_samples()) {
    (sample.answer ? answers : requests).insert(sample.name);
  }
  for (int code = 0; code < 256; ++code) {
    const std::string name(wire::op_name(static_cast<wire::Op>(code)));
    if (name.empty() || name == "reply") {
      continue;
    }
    EXPECT_EQ(requests.count(name), name == "ack" ? 0U : 1U) << name;
    const bool acknowledged = name == "block" || name == "delta_block";
    EXPECT_EQ(answers.count(name), acknowledged ? 0U : 1U) << name;
  }
}

TEST(Golden, ErrorReply) {
  const Bytes golden = read_golden("error")["[answer]"];
  const wire::Frame frame = wire::pack_error(0x01020304, os_error(ENOSPC, "dir/f"));
  EXPECT_EQ(hash::to_hex(frame.head), hash::to_hex(golden));
  const auto answer = wire::open_reply(parse(golden).body());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::os);
  EXPECT_EQ(answer.error().os_errno, ENOSPC);
  EXPECT_EQ(answer.error().context, "dir/f");
}

}  // namespace
}  // namespace cpaway::testing
