#include "tests/tidy/checks.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>

#include "tests/tidy/code_text.h"

namespace cpaway::tidy {
namespace {

constexpr size_t kMaxColumns = 100;
constexpr size_t kMaxFileLines = 800;
constexpr size_t kMaxFunctionLines = 70;

using Prefixes = std::initializer_list<std::string_view>;

struct Layer {
  std::string_view folder;
  std::vector<std::string_view> may_include;  // besides itself
};

// The first whose folder the path begins with.
const std::vector<Layer>& layers() {
  static const std::vector<Layer> table = {
      {"engine/base/", {}},
      {"engine/hash/", {"engine/base/"}},
      {"engine/wire/", {"engine/base/", "engine/hash/"}},
      {"engine/delta/", {"engine/base/", "engine/hash/"}},
      {"engine/transport/", {"engine/base/", "engine/wire/"}},
      {"engine/client/", {"engine/base/", "engine/hash/", "engine/wire/", "engine/transport/"}},
      {"engine/upload/",
       {"engine/base/", "engine/hash/", "engine/wire/", "engine/delta/", "engine/client/"}},
      {"engine/agent/", {"engine/base/", "engine/hash/", "engine/wire/", "engine/delta/"}},
      {"cache/", {"engine/base/", "engine/hash/", "engine/upload/journal.h"}},
      {"fs/",
       {"engine/base/", "engine/hash/", "engine/wire/", "engine/client/", "engine/upload/",
        "cache/"}},
      {"tools/cpaway_agent", {"engine/base/", "engine/hash/", "engine/wire/", "engine/agent/"}},
      {"tools/", {"engine/", "cache/", "fs/"}},
      {"tests/", {"engine/", "cache/", "fs/", "tools/"}},
  };
  return table;
}

struct Library {
  std::string_view header;                // how the included path begins
  std::vector<std::string_view> only_in;  // how the including path begins
};

const std::vector<Library>& libraries() {
  static const std::vector<Library> table = {
      {"fuse", {"fs/"}},
      {"libssh", {"engine/transport/ssh_"}},
      {"lmdb", {"cache/env"}},
      {"openssl/", {"engine/hash/digest", "engine/crypto/"}},
      {"spdlog/", {"engine/base/log"}},
      {"engine/base/log_spdlog.h", {"engine/base/log", "tools/"}},
      {"zstd", {"engine/"}},
      {"xxh", {"engine/hash/"}},
      {"CLI/", {"tools/"}},
      {"nlohmann/", {"tools/", "tests/e2e/"}},
      {"httplib", {"tools/"}},
  };
  return table;
}

bool begins_with_any(std::string_view text, const std::vector<std::string_view>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [text](std::string_view prefix) { return text.starts_with(prefix); });
}

bool is_header(std::string_view path) {
  return path.ends_with(".h");
}

// Characters, not bytes.
size_t columns(std::string_view line) {
  return static_cast<size_t>(std::count_if(
      line.begin(), line.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0U) != 0x80U; }));
}

class Checker {
 public:
  Checker(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  std::vector<Finding> run() {
    check_lines();
    check_functions();
    check_header();
    check_words();
    check_name();
    for (const Include& include : find_includes(text_)) {
      check_direction(include);
      check_library(include);
    }
    check_own_header();
    return std::move(findings_);
  }

 private:
  void add(size_t line, std::string what) { findings_.push_back({path_, line, std::move(what)}); }

  void check_lines() {
    const auto lines = split_lines(text_);
    if (lines.size() > kMaxFileLines) {
      add(0, std::to_string(lines.size()) + " lines; 800 are the limit");
    }
    for (size_t i = 0; i < lines.size(); ++i) {
      if (columns(lines[i]) > kMaxColumns) {
        add(i + 1, "over 100 columns");
      }
    }
  }

  void check_functions() {
    for (const Block& body : find_functions(text_)) {
      const size_t size = body.last_line - body.first_line + 1;
      if (size > kMaxFunctionLines) {
        add(body.first_line, "function of " + std::to_string(size) + " lines; 70 are the limit");
      }
    }
  }

  void check_header() {
    if (!is_header(path_)) {
      return;
    }
    if (text_.find("\n#pragma once\n") == std::string_view::npos) {
      add(0, "header without #pragma once");
    }
    if (!text_.starts_with("//")) {
      add(1, "header without an opening comment: why it exists, who owns it, its threads");
    }
    for (const Include& include : find_includes(text_)) {
      if (include.path == "iostream") {
        add(include.line, "<iostream> in a header");
      }
    }
  }

  // Our code does not throw, and headers open no namespaces for those who include them.
  void check_words() {
    const std::string code = without_comments(text_);
    size_t number = 0;
    for (const std::string_view line : split_lines(code)) {
      ++number;
      if (!path_.starts_with("tests/") && line.find("throw ") != std::string_view::npos) {
        add(number, "throw: fallible functions return Result");
      }
      if (is_header(path_) && line.find("using namespace") != std::string_view::npos) {
        add(number, "using namespace in a header");
      }
    }
  }

  void check_name() {
    for (const std::string_view word : {"manager", "helper", "util"}) {
      if (path_.substr(path_.rfind('/') + 1).find(word) != std::string::npos) {
        add(0, "a file name with \"" + std::string(word) + "\" says nothing");
      }
    }
  }

  void check_direction(const Include& include) {
    if (!include.quoted) {
      return;
    }
    const auto& table = layers();
    const auto layer = std::find_if(table.begin(), table.end(), [this](const Layer& candidate) {
      return path_.starts_with(candidate.folder);
    });
    const bool allowed =
        layer != table.end() && (include.path.starts_with(layer->folder) ||
                                 begins_with_any(include.path, layer->may_include));
    if (!allowed) {
      add(include.line, "may not include " + include.path);
    }
  }

  void check_library(const Include& include) {
    for (const Library& library : libraries()) {
      const bool of_library = include.path.starts_with(library.header);
      if (of_library && !begins_with_any(path_, library.only_in) && !path_.starts_with("tests/")) {
        add(include.line, include.path + " has its one place elsewhere");
      }
    }
  }

  // foo.cc that includes its folder's foo.h includes it first.
  void check_own_header() {
    if (is_header(path_)) {
      return;
    }
    const std::string own = path_.substr(0, path_.rfind('.')) + ".h";
    const auto includes = find_includes(text_);
    const auto found = std::find_if(includes.begin(), includes.end(),
                                    [&own](const Include& i) { return i.path == own; });
    if (found != includes.end() && found != includes.begin()) {
      add(found->line, "its own header comes first");
    }
  }

  const std::string& path_;
  std::string_view text_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> check_source(const std::string& path, std::string_view text) {
  return Checker(path, text).run();
}

std::vector<Finding> check_script(const std::string& path, std::string_view text, bool executable) {
  const bool is_script = text.starts_with("#!");
  if (is_script == executable) {
    return {};
  }
  return {{path, 0, is_script ? "script that is not executable" : "executable but no script"}};
}

std::vector<Finding> check_top_level(const std::vector<std::string>& names) {
  static constexpr std::array<std::string_view, 12> kAllowed = {"CMakeLists.txt",
                                                                "CMakePresets.json",
                                                                "LICENSE",
                                                                "README.md",
                                                                "build",
                                                                "cache",
                                                                "compile_commands.json",
                                                                "engine",
                                                                "fs",
                                                                "man",
                                                                "tests",
                                                                "tools"};
  std::vector<Finding> findings;
  for (const std::string& name : names) {
    if (!name.starts_with('.') &&
        std::find(kAllowed.begin(), kAllowed.end(), name) == kAllowed.end()) {
      findings.push_back({name, 0, "does not belong at the top level"});
    }
  }
  return findings;
}

}  // namespace cpaway::tidy
