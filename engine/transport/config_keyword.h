// One keyword of an ssh_config file, for what libssh reads and does not tell.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cpaway::transport {

// The first value that `text` gives `keyword` for `host`, as the user typed it. Knows Host blocks;
// Match blocks and Include lines are passed over, so use it only where missing a value is safe.
[[nodiscard]] std::optional<std::string> config_keyword(std::string_view text,
                                                        std::string_view host,
                                                        std::string_view keyword);

}  // namespace cpaway::transport
