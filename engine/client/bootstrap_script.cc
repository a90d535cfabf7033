#include "engine/client/bootstrap_script.h"

#include "engine/base/check.h"
#include "engine/base/strings.h"

namespace cpaway::client {
namespace {

// $1... are the directories. safe DIR: it is ours alone. sum FILE: its SHA-256, and anything.
constexpr std::string_view kPrelude =
    R"(u=$(id -u); c=${XDG_CACHE_HOME:-$HOME/.cache}; )"
    R"(case $c in /*) ;; *) c=$HOME/.cache ;; esac; set -- "$c/cpaway"; )"
    R"(case $XDG_RUNTIME_DIR in /*) set -- "$@" "$XDG_RUNTIME_DIR/cpaway" ;; esac; )"
    R"(set -- "$@" "/var/tmp/cpaway-$u" "/tmp/cpaway-$u"; )"
    R"(safe() { s=$(ls -ldn "$1" 2>/dev/null) || return 1; )"
    R"(case $s in drwx------*) ;; *) return 1 ;; esac; set -- $s; [ "$3" = "$u" ]; }; )"
    R"(sum() { if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$1"; )"
    R"(elif command -v shasum >/dev/null 2>&1; then shasum -a 256 <"$1"; )"
    R"(elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r <"$1"; )"
    R"(else echo none; fi; }; )";

constexpr std::string_view kFind =
    R"(for d in "$@"; do f=$d/$n; if safe "$d" && [ -f "$f" ]; then s=$(sum "$f"); )"
    R"(if [ "${s%% *}" = "$h" ] && "$f" --version >/dev/null 2>&1 </dev/null; then )"
    R"(touch -c "$f" 2>/dev/null; exec "$f"; fi; fi; done; )"
    R"(echo; echo cpaway-probe-7f2c9e41; uname -sm; s=$(sum /dev/null); echo "${s%% *}"; )"
    R"(for d in "$@"; do echo "$d"; done)";

// Versions unused for 30 days go; the use of one renews its time (kFind).
constexpr std::string_view kPush =
    R"(d=$1; t=$d/.cpaway-agent.tmp.$$; umask 077; )"
    R"(say() { echo; echo cpaway-push-7f2c9e41; echo "$*"; exit; }; )"
    R"(e=$(mkdir -p "$d" 2>&1); [ -d "$d" ] || say "nodir $e"; safe "$d" || say unsafe; )"
    R"(e=$( ( : >"$t" ) 2>&1 ) || say "failed $e"; )"
    R"(e=$(cat 2>&1 >"$t") || { rm -f "$t"; say "failed $e"; }; )"
    R"(chmod 700 "$t"; s=$(sum "$t"); s=${s%% *}; r=ok; )"
    R"(if [ "$s" = none ]; then r=unverified; )"
    R"(elif [ "$s" = "$h" ]; then e=$("$t" --version 2>&1 </dev/null) || )"
    R"({ rm -f "$t"; say "noexec $e"; }; else rm -f "$t"; say damaged; fi; )"
    R"(e=$(mv -f "$t" "$d/$n" 2>&1) || { rm -f "$t"; say "failed $e"; }; )"
    R"(find "$d" -type f -name "cpaway-agent-*" -mtime +30 -exec rm -f {} + 2>/dev/null; )"
    R"(find "$d" -type f -name ".cpaway-agent.tmp.*" -mtime +0 -exec rm -f {} + 2>/dev/null; )"
    R"(say "$r")";

constexpr std::string_view kFetch =
    R"(echo; echo cpaway-fetch-7f2c9e41; safe "$1" && [ -f "$1/$n" ] && exec cat "$1/$n")";

constexpr std::string_view kStart = R"(safe "$1" && exec "$1/$n")";

std::string command(const AgentBinary& agent, size_t index, std::string_view script) {
  std::string text = concat("LC_ALL=C; n=", agent.name, "; h=", agent.digest, "; ", kPrelude,
                            "shift ", index, "; ", script);
  CHECK(text.find_first_of("'\n\\!") == std::string::npos);
  return concat("exec /bin/sh -c '", text, "'");
}

}  // namespace

std::string find_command(const AgentBinary& agent) {
  return command(agent, 0, kFind);
}

std::string push_command(const AgentBinary& agent, size_t index) {
  return command(agent, index, kPush);
}

std::string fetch_command(const AgentBinary& agent, size_t index) {
  return command(agent, index, kFetch);
}

std::string start_command(const AgentBinary& agent, size_t index) {
  return command(agent, index, kStart);
}

}  // namespace cpaway::client
