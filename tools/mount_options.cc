#include "tools/mount_options.h"

#include "engine/base/strings.h"
#include "tools/option_list.h"
#include "tools/option_rules.h"
#include "tools/option_values.h"
#include "tools/source.h"
#include "tools/ssh_keywords.h"

namespace cpaway::tools {
namespace {

Status apply_rule(MountOptions& options, const OptionRule& rule, const OptionItem& item) {
  const bool has_value = item.value && !item.value->empty();
  if (rule.takes == Takes::value && !has_value) {
    return fail(Errc::invalid, concat("option ", item.name, " needs a value"));
  }
  if (rule.takes == Takes::nothing && item.value) {
    return fail(Errc::invalid, concat("option ", item.name, " takes no value"));
  }
  return rule.apply(options, item.value.value_or(""));
}

tl::unexpected<Error> unknown_option(const std::string& name) {
  const std::string_view nearest = nearest_name(name, known_option_names());
  return fail(Errc::invalid, nearest.empty() ? concat("unknown option \"", name, "\"")
                                             : concat("unknown option \"", name, "\"; is \"",
                                                      nearest, "\" meant?"));
}

Status apply_item(MountOptions& options, const OptionItem& item, bool sloppy) {
  if (const OptionRule* rule = find_option_rule(item.name)) {
    return apply_rule(options, *rule, item);
  }
  if (is_fstab_word(item.name)) {
    return {};
  }
  if (is_ssh_keyword(item.name)) {
    if (!item.value || item.value->empty()) {
      return fail(Errc::invalid, concat("option ", item.name, " needs a value"));
    }
    options.ssh_only.push_back(concat(item.name, "=", *item.value));
    return {};
  }
  if (sloppy) {
    return {};
  }
  return unknown_option(item.name);
}

// What only the ssh program understands goes to it, or is an error where there is none.
Status settle_ssh_only(MountOptions& options) {
  if (options.ssh_only.empty()) {
    return {};
  }
  if (options.session.login.ssh_command.empty()) {
    const std::string& first = options.ssh_only.front();
    return fail(Errc::invalid, concat("option ", first.substr(0, first.find('=')),
                                      " is for the ssh program: add -o ssh_command=ssh"));
  }
  options.session.login.ssh_options = std::move(options.ssh_only);
  return {};
}

Status apply_lists(MountOptions& options, const MountWords& words) {
  for (const std::string& list : words.option_lists) {
    CPAWAY_ASSIGN(const std::vector<OptionItem> items, split_options(list));
    for (const OptionItem& item : items) {
      CPAWAY_TRY(apply_item(options, item, words.sloppy));
    }
  }
  if (!words.port.empty()) {
    CPAWAY_TRY(apply_item(options, {"port", words.port}, false));
  }
  return {};
}

}  // namespace

Result<MountOptions> parse_mount_options(const MountWords& words) {
  CPAWAY_ASSIGN(Source source, parse_source(words.source));
  MountOptions options;
  options.session.login.user = std::move(source.user);
  options.session.login.host = std::move(source.host);
  options.session.directory = std::move(source.directory);
  options.filesystem.source = words.source;
  options.filesystem.mountpoint = words.mountpoint;
  options.foreground = words.foreground;
  CPAWAY_TRY(apply_lists(options, words));
  CPAWAY_TRY(settle_ssh_only(options));
  if (!words.config_file.empty()) {
    const bool none = words.config_file == "none";
    options.session.login.config_file = none ? "none" : absolute_path(words.config_file);
  }
  return options;
}

}  // namespace cpaway::tools
