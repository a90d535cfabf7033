#include "tests/tidy/code_text.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace cpaway::tidy {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.remove_suffix(1);
  }
  return text;
}

bool is_word_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Walks over source text and copies it, with what is not code replaced by blanks.
class Blanker {
 public:
  explicit Blanker(std::string_view text) : text_(text) {}

  std::string run() {
    while (at_ < text_.size()) {
      step();
    }
    return std::move(out_);
  }

 private:
  [[nodiscard]] bool here(std::string_view word) const {
    return text_.substr(at_).starts_with(word);
  }
  void blank(size_t count) {
    for (const size_t end = std::min(at_ + count, text_.size()); at_ < end; ++at_) {
      out_.push_back(text_[at_] == '\n' ? '\n' : ' ');
    }
  }
  void blank_through(std::string_view end, size_t from) {
    const size_t found = text_.find(end, from);
    blank((found == std::string_view::npos ? text_.size() : found + end.size()) - at_);
  }

  void step() {
    const char c = text_[at_];
    if (here("//") || (c == '#' && at_line_start())) {
      blank_line();
    } else if (here("/*")) {
      blank_through("*/", at_ + 2);
    } else if (here("R\"") && !after_word()) {
      const std::string tag(text_.substr(at_ + 2, text_.find('(', at_) - at_ - 2));
      blank_through(")" + tag + "\"", at_ + 2);
    } else if (c == '"' || (c == '\'' && !after_word())) {
      blank_literal(c);
    } else {
      out_.push_back(c);
      ++at_;
    }
  }

  [[nodiscard]] bool at_line_start() const {
    const size_t newline = out_.rfind('\n');
    const size_t start = newline == std::string::npos ? 0 : newline + 1;
    return trimmed(std::string_view(out_).substr(start)).empty();
  }
  // A quote after a digit separates digits; R after a letter is part of a name.
  [[nodiscard]] bool after_word() const { return !out_.empty() && is_word_char(out_.back()); }

  void blank_line() {  // and its continuations
    while (at_ < text_.size() && text_[at_] != '\n') {
      blank(text_[at_] == '\\' ? 2 : 1);
    }
  }
  void blank_literal(char quote) {
    blank(1);
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
      blank(text_[at_] == '\\' ? 2 : 1);
    }
    blank(1);
  }

  std::string_view text_;
  std::string out_;
  size_t at_ = 0;
};

bool starts_with_word(std::string_view text, std::string_view word) {
  return text.starts_with(word) && (text.size() == word.size() || !is_word_char(text[word.size()]));
}

bool contains_word(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    if ((at == 0 || !is_word_char(text[at - 1])) && starts_with_word(text.substr(at), word)) {
      return true;
    }
  }
  return false;
}

// What follows "template <...>".
std::string_view without_template(std::string_view head) {
  int depth = 0;
  for (size_t at = 0; at < head.size(); ++at) {
    depth += head[at] == '<' ? 1 : head[at] == '>' ? -1 : 0;
    if (head[at] == '>' && depth == 0) {
      return trimmed(head.substr(at + 1));
    }
  }
  return head;
}

enum class Scope { declarations, function, other };

// What the brace after `head` (the text since the last statement) opens.
Scope classify(std::string_view head) {
  head = trimmed(head);
  if (starts_with_word(head, "template")) {
    head = without_template(head);
  }
  const bool has_parameters = head.ends_with(')') || head.find(") ") != std::string_view::npos;
  static constexpr std::array kTypes = {"class", "struct", "union", "enum"};
  const bool names_type = std::any_of(kTypes.begin(), kTypes.end(), [head](const char* word) {
    return starts_with_word(head, word);
  });
  const bool macro_in_name =
      names_type && !head.ends_with(')') && head.find(") const") == std::string_view::npos;
  if (contains_word(head, "namespace") || starts_with_word(head, "extern") ||
      (names_type && (!has_parameters || macro_in_name))) {
    return Scope::declarations;
  }
  return head.ends_with('=') || head.ends_with(',') || head.ends_with('(') ? Scope::other
                                                                           : Scope::function;
}

class FunctionFinder {
 public:
  explicit FunctionFinder(const std::string& code) : code_(code) {}

  std::vector<Block> run() {
    for (const char c : code_) {
      line_ += c == '\n' ? 1 : 0;
      take(c);
    }
    return std::move(found_);
  }

 private:
  struct Open {
    Scope scope;
    size_t line;
  };

  [[nodiscard]] bool among_declarations() const {
    return open_.empty() || open_.back().scope == Scope::declarations;
  }

  void take(char c) {
    if (c == '{') {
      open_brace();
    } else if (c == '}') {
      close_brace();
    } else if (among_declarations()) {
      parentheses_ += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (c == ';' && parentheses_ == 0) {
        head_.clear();
      } else {
        head_.push_back(c);
      }
    }
  }

  void open_brace() {
    Scope scope = Scope::other;
    if (among_declarations()) {
      scope = parentheses_ > 0 ? Scope::other : classify(head_);
    }
    open_.push_back({scope, line_});
    if (scope == Scope::declarations) {
      head_.clear();
    }
  }

  void close_brace() {
    if (open_.empty()) {
      return;
    }
    const Open closed = open_.back();
    open_.pop_back();
    if (closed.scope == Scope::function) {
      found_.push_back({closed.line, line_});
    }
    if (closed.scope != Scope::other || parentheses_ == 0) {
      head_.clear();
    }
  }

  const std::string& code_;
  std::vector<Block> found_;
  std::vector<Open> open_;
  std::string head_;
  size_t line_ = 1;
  int parentheses_ = 0;
};

}  // namespace

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string without_comments(std::string_view text) {
  return Blanker(text).run();
}

std::vector<Include> find_includes(std::string_view text) {
  std::vector<Include> includes;
  size_t number = 0;
  for (std::string_view line : split_lines(text)) {
    ++number;
    line = trimmed(line);
    if (!line.starts_with("#include ")) {
      continue;
    }
    line = trimmed(line.substr(9));
    const char end = line.starts_with('<') ? '>' : '"';
    const size_t close = line.find(end, 1);
    if (close != std::string_view::npos) {
      includes.push_back({number, std::string(line.substr(1, close - 1)), end == '"'});
    }
  }
  return includes;
}

std::vector<Block> find_functions(std::string_view text) {
  return FunctionFinder(without_comments(text)).run();
}

}  // namespace cpaway::tidy
