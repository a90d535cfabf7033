#include "tools/option_list.h"

#include "engine/base/strings.h"

namespace cpaway::tools {
namespace {

// Takes the next item off `text`, its escapes resolved.
std::string take_item(std::string_view& text) {
  std::string item;
  size_t at = 0;
  while (at < text.size() && text[at] != ',') {
    const bool escaped =
        text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == ',' || text[at + 1] == '\\');
    item.push_back(text[escaped ? at + 1 : at]);
    at += escaped ? 2 : 1;
  }
  text.remove_prefix(at < text.size() ? at + 1 : at);
  return item;
}

}  // namespace

Result<std::vector<OptionItem>> split_options(std::string_view text) {
  std::vector<OptionItem> items;
  while (!text.empty()) {
    const std::string item = take_item(text);
    if (item.empty()) {
      continue;
    }
    const size_t equals = item.find('=');
    if (equals == 0) {
      return fail(Errc::invalid, concat("option \"", item, "\" has no name"));
    }
    if (equals == std::string::npos) {
      items.push_back({item, std::nullopt});
    } else {
      items.push_back({item.substr(0, equals), item.substr(equals + 1)});
    }
  }
  return items;
}

}  // namespace cpaway::tools
