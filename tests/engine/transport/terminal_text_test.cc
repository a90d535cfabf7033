#include "engine/transport/terminal_text.h"

#include <gtest/gtest.h>

namespace cpaway::transport {
namespace {

TEST(TerminalText, KeepsPlainTextAndUtf8) {
  EXPECT_EQ(terminal_text("plain"), "plain");
  EXPECT_EQ(terminal_text("größe €"), "größe €");
}

TEST(TerminalText, ReplacesWhatTerminalsObey) {
  EXPECT_EQ(terminal_text("a\x1b[31mb\x7f"), "a?[31mb?");
  EXPECT_EQ(terminal_text("\xc2\x9b"
                          "31m"),
            "??31m");  // CSI as one C1 character
  EXPECT_EQ(terminal_text("cut \xe2\x82"), "cut ??");
}

TEST(TerminalText, MakesOneLine) {
  EXPECT_EQ(terminal_text("one\r\n\n  two \n"), "one; two");
  EXPECT_EQ(first_line("\n one\ntwo\n"), "one");
  EXPECT_EQ(last_line("one\ntwo\n\n"), "two");
  EXPECT_EQ(last_line(""), "");
}

TEST(StderrTail, KeepsTheNewest) {
  StderrTail tail;
  tail.append(as_bytes(std::string(StderrTail::kMaxSize, 'a')));
  tail.append(as_bytes("the end"));
  EXPECT_EQ(tail.raw().size(), StderrTail::kMaxSize);
  EXPECT_TRUE(tail.take().ends_with("athe end"));
  EXPECT_EQ(tail.take(), "");
  tail.append(as_bytes(std::string(3 * StderrTail::kMaxSize, 'b')));
  EXPECT_EQ(tail.raw().size(), StderrTail::kMaxSize);
}

}  // namespace
}  // namespace cpaway::transport
