#include "tests/tidy/code_text.h"

#include <gtest/gtest.h>

namespace cpaway::tidy {
namespace {

TEST(WithoutComments, BlanksWhatIsNotCode) {
  EXPECT_EQ(without_comments("a // {\nb"), "a     \nb");
  EXPECT_EQ(without_comments("a /* {\n{ */ b"), "a     \n     b");
  EXPECT_EQ(without_comments(R"(f("{\"{", '{', 1'000);)"), "f(      ,    , 1'000);");
  EXPECT_EQ(without_comments("x = R\"t({\n\")t\"; y"), "x =      \n    ; y");
  EXPECT_EQ(without_comments("#define A \\\n  {\nb"), "           \n   \nb");
}

TEST(FindIncludes, BothKinds) {
  const auto includes = find_includes("#include <a/b.h>\n\n// #include <no>\n#include \"c.h\"\n");
  ASSERT_EQ(includes.size(), 2U);
  EXPECT_EQ(includes[0].path, "a/b.h");
  EXPECT_FALSE(includes[0].quoted);
  EXPECT_EQ(includes[1].path, "c.h");
  EXPECT_EQ(includes[1].line, 4U);
  EXPECT_TRUE(includes[1].quoted);
}

std::vector<size_t> sizes(std::string_view text) {
  std::vector<size_t> out;
  for (const Block& body : find_functions(text)) {
    out.push_back(body.last_line - body.first_line + 1);
  }
  return out;
}

using Sizes = std::vector<size_t>;

TEST(FindFunctions, InNamespacesAndClasses) {
  EXPECT_EQ(sizes("namespace a {\nint f() {\n  return 1;\n}\n}\n"), (Sizes{3}));
  EXPECT_EQ(
      sizes("class A final : public B {\n  void f() const {\n  }\n  int g() { return 1; }\n};"),
      (Sizes{2, 1}));
  EXPECT_EQ(sizes("template <class T>\nstruct A {\nvoid f() {\n}\n};\n"), (Sizes{2}));
  EXPECT_EQ(sizes("class X(capability(1)) Mutex {\nvoid f() {\n}\n};\n"), (Sizes{2}));
  EXPECT_EQ(sizes("struct flock f(short t) {\n\n\n}\n"), (Sizes{4}));
  EXPECT_EQ(sizes("template <class T>\nauto f(T t) -> int {\n}\n"), (Sizes{2}));
}

TEST(FindFunctions, LambdasAndBlocksArePartOfTheirFunction) {
  EXPECT_EQ(sizes("void f() {\n  if (a) {\n  }\n  g([] {\n  });\n}\n"), (Sizes{6}));
}

TEST(FindFunctions, InitializersAreNone) {
  EXPECT_EQ(sizes("const int a[] = {\n1,\n2};\nconst auto b = f({\n{1}, {2}\n});\n"), Sizes());
  EXPECT_EQ(sizes("enum class E {\na,\nb\n};\n"), Sizes());
  EXPECT_EQ(sizes("void f(int a = {}, int b = {}) {\n}\n"), (Sizes{2}));
}

TEST(FindFunctions, ConstructorsWithInitializersEnd) {
  const auto found = sizes("A::A(int b)\n    : b_(b), c_(1) {\n\n}\nvoid f() {\n}\n");
  EXPECT_EQ(found, (Sizes{3, 2}));
}

}  // namespace
}  // namespace cpaway::tidy
