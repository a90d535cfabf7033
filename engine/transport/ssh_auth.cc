#include "engine/transport/ssh_auth.h"

#include <libssh/callbacks.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/base/strings.h"
#include "engine/transport/prompt.h"
#include "engine/transport/ssh_config.h"
#include "engine/transport/terminal_text.h"

namespace cpaway::transport {
namespace {

constexpr int kMaxRounds = 8;      // of methods; a server may want several in a row
constexpr int kMaxPrompts = 3;     // for one password, or one passphrase
constexpr int kMaxQuestions = 20;  // rounds of keyboard-interactive

using Key = std::unique_ptr<ssh_key_struct, decltype(&ssh_key_free)>;

class Login {
 public:
  Login(SshSession& session, const LoginOptions& options, const std::string& user,
        const Prompter& prompter, Deadline& deadline)
      : session_(session),
        options_(options),
        name_(concat(user, "@", options.host)),
        prompter_(prompter),
        deadline_(deadline) {}

  Status run();

 private:
  // Each method returns SSH_AUTH_SUCCESS, _PARTIAL or _DENIED; what ends the login is an Error.
  Result<int> public_keys();
  Result<int> identity_file(const std::string& path);
  Result<int> agent_and_defaults();
  Result<int> keyboard_interactive();
  Result<bool> answer_questions();
  Result<int> password();

  template <class Step>
  Result<int> drive(Step step);
  Result<int> next_method(int offered);
  Key read_private_key(const std::string& path);
  Error denied() const;
  std::optional<std::string> prompt(const std::string& text, bool echo) {
    return ask(prompter_, deadline_, text, echo);
  }
  static int on_passphrase(const char* prompt, char* buffer, size_t size, int echo, int verify,
                           void* self);

  SshSession& session_;
  const LoginOptions& options_;
  const std::string name_;
  const Prompter& prompter_;
  Deadline& deadline_;
  std::string asked_key_;  // whose passphrase is being asked for
  std::string hint_;       // why a key was not used
  bool keys_tried_ = false;
  bool interactive_tried_ = false;
  bool password_tried_ = false;
  bool given_password_used_ = false;
};

template <class Step>
Result<int> Login::drive(Step step) {
  auto rc = session_.drive(SSH_AUTH_AGAIN, deadline_, step);
  if (!rc && rc.error().code == Errc::timeout) {
    return fail(Errc::timeout, concat(name_, ": no answer to the login in time"));
  }
  if (!rc || *rc == SSH_AUTH_ERROR || session_.broken()) {
    return fail(Errc::auth, concat(name_, ": login failed: ", session_.error_text()));
  }
  return rc;
}

Status Login::run() {
  CPAWAY_ASSIGN(int rc, drive([this] { return ssh_userauth_none(session_.raw(), nullptr); }));
  for (int round = 0; round < kMaxRounds && rc != SSH_AUTH_SUCCESS; ++round) {
    CPAWAY_ASSIGN(rc, next_method(ssh_userauth_list(session_.raw(), nullptr)));
    if (rc == SSH_AUTH_DENIED) {
      return fail(denied());
    }
  }
  return rc == SSH_AUTH_SUCCESS ? Status() : fail(denied());
}

// Tries what is offered and not yet tried, until one succeeds, wholly or partly.
Result<int> Login::next_method(int offered) {
  const auto may = [offered](unsigned method) {
    return (static_cast<unsigned>(offered) & method) != 0;
  };
  int rc = SSH_AUTH_DENIED;
  if (may(SSH_AUTH_METHOD_PUBLICKEY) && !std::exchange(keys_tried_, true)) {
    CPAWAY_ASSIGN(rc, public_keys());
  }
  if (rc == SSH_AUTH_DENIED && may(SSH_AUTH_METHOD_INTERACTIVE) &&
      !std::exchange(interactive_tried_, true)) {
    CPAWAY_ASSIGN(rc, keyboard_interactive());
  }
  if (rc == SSH_AUTH_DENIED && may(SSH_AUTH_METHOD_PASSWORD) &&
      !std::exchange(password_tried_, true)) {
    CPAWAY_ASSIGN(rc, password());
  }
  return rc;
}

Result<int> Login::public_keys() {
  for (const std::string& path : options_.identity_files) {
    CPAWAY_ASSIGN(const int rc, identity_file(expand_home(path)));
    if (rc != SSH_AUTH_DENIED) {
      return rc;
    }
  }
  return agent_and_defaults();
}

Result<int> Login::identity_file(const std::string& path) {
  ssh_key raw_public = nullptr;
  if (ssh_pki_import_pubkey_file(concat(path, ".pub").c_str(), &raw_public) == SSH_OK ||
      ssh_pki_import_pubkey_file(path.c_str(), &raw_public) == SSH_OK) {
    // Only a key that the server wants is worth a passphrase.
    const Key public_key(raw_public, &ssh_key_free);
    CPAWAY_ASSIGN(const int rc, drive([&] {
                    return ssh_userauth_try_publickey(session_.raw(), nullptr, public_key.get());
                  }));
    if (rc != SSH_AUTH_SUCCESS) {
      return SSH_AUTH_DENIED;
    }
  }
  const Key private_key = read_private_key(path);
  if (!private_key) {
    return SSH_AUTH_DENIED;
  }
  return drive([&] { return ssh_userauth_publickey(session_.raw(), nullptr, private_key.get()); });
}

Key Login::read_private_key(const std::string& path) {
  asked_key_ = path;
  ssh_key raw = nullptr;
  for (int i = 0; i < kMaxPrompts; ++i) {
    hint_.clear();
    if (ssh_pki_import_privkey_file(path.c_str(), nullptr, on_passphrase, this, &raw) == SSH_OK) {
      return {raw, &ssh_key_free};
    }
    if (hint_.empty()) {
      hint_ = concat("the key in ", path, " cannot be used");
    }
    if (!prompter_) {
      break;
    }
  }
  return {nullptr, &ssh_key_free};
}

int Login::on_passphrase(const char* /*prompt*/, char* buffer, size_t size, int /*echo*/,
                         int /*verify*/, void* self) {
  auto* login = static_cast<Login*>(self);
  char* identity = nullptr;
  if (login->asked_key_.empty() && ssh_userauth_publickey_auto_get_current_identity(
                                       login->session_.raw(), &identity) == SSH_OK) {
    login->asked_key_ = identity;
    ssh_string_free_char(identity);
  }
  const auto answer =
      login->prompt(concat("Passphrase for the key ", login->asked_key_, ": "), false);
  if (!answer || answer->size() >= size) {
    login->hint_ = concat("the key ", login->asked_key_, " needs a passphrase");
    return -1;
  }
  std::memcpy(buffer, answer->c_str(), answer->size() + 1);
  return 0;
}

// The agent's keys, then those that ssh_config names, then ~/.ssh/id_*.
Result<int> Login::agent_and_defaults() {
  asked_key_.clear();
  ssh_callbacks_struct callbacks{};
  callbacks.userdata = this;
  callbacks.auth_function = on_passphrase;
  ssh_callbacks_init(&callbacks);
  ssh_set_callbacks(session_.raw(), &callbacks);
  auto rc = drive([this] { return ssh_userauth_publickey_auto(session_.raw(), nullptr, nullptr); });
  callbacks.auth_function = nullptr;
  static ssh_callbacks_struct none{};  // libssh keeps the pointer
  ssh_callbacks_init(&none);
  ssh_set_callbacks(session_.raw(), &none);
  return rc;
}

Result<int> Login::keyboard_interactive() {
  for (int round = 0; round < kMaxQuestions; ++round) {
    CPAWAY_ASSIGN(const int rc,
                  drive([this] { return ssh_userauth_kbdint(session_.raw(), nullptr, nullptr); }));
    if (rc != SSH_AUTH_INFO) {
      return rc;
    }
    CPAWAY_ASSIGN(const bool answered, answer_questions());
    if (!answered) {
      return SSH_AUTH_DENIED;
    }
  }
  return SSH_AUTH_DENIED;
}

Result<bool> Login::answer_questions() {
  const int count = ssh_userauth_kbdint_getnprompts(session_.raw());
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<unsigned>(i);
    char echo = 0;
    const char* text = ssh_userauth_kbdint_getprompt(session_.raw(), index, &echo);
    std::optional<std::string> answer;
    if (count == 1 && echo == 0 && options_.password &&
        !std::exchange(given_password_used_, true)) {
      answer = options_.password;
    } else {
      answer = prompt(concat("(", name_, ") ", terminal_text(text == nullptr ? "" : text), " "),
                      echo != 0);
    }
    if (!answer) {
      return false;
    }
    if (ssh_userauth_kbdint_setanswer(session_.raw(), index, answer->c_str()) < 0) {
      return fail(Errc::auth, concat(name_, ": login failed: ", session_.error_text()));
    }
  }
  return true;
}

Result<int> Login::password() {
  if (options_.password) {
    CPAWAY_ASSIGN(const int rc, drive([this] {
                    return ssh_userauth_password(session_.raw(), nullptr,
                                                 options_.password->c_str());
                  }));
    if (rc != SSH_AUTH_DENIED) {
      return rc;
    }
  }
  for (int i = 0; i < kMaxPrompts; ++i) {
    const auto answer = prompt(concat(name_, "'s password: "), false);
    if (!answer) {
      break;
    }
    CPAWAY_ASSIGN(const int rc, drive([&] {
                    return ssh_userauth_password(session_.raw(), nullptr, answer->c_str());
                  }));
    if (rc != SSH_AUTH_DENIED) {
      return rc;
    }
  }
  return SSH_AUTH_DENIED;
}

Error Login::denied() const {
  const auto offered = static_cast<unsigned>(ssh_userauth_list(session_.raw(), nullptr));
  std::string methods;
  const auto add = [&](unsigned method, const char* name) {
    if ((offered & method) != 0) {
      methods.append(methods.empty() ? "" : ",").append(name);
    }
  };
  add(SSH_AUTH_METHOD_PUBLICKEY, "publickey");
  add(SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive");
  add(SSH_AUTH_METHOD_PASSWORD, "password");
  add(SSH_AUTH_METHOD_HOSTBASED, "hostbased");
  add(SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic");
  return make_error(Errc::auth, concat(name_, ": permission denied (", methods, ")",
                                       hint_.empty() ? "" : "; ", hint_));
}

}  // namespace

Status log_in(SshSession& session, const LoginOptions& options, const std::string& user,
              const Prompter& prompter, Deadline& deadline) {
  for (const std::string& path : options.identity_files) {
    if (access(expand_home(path).c_str(), R_OK) != 0) {
      return fail(Errc::invalid,
                  concat("cannot read the identity file ", path, ": ", std::strerror(errno)));
    }
  }
  return Login(session, options, user, prompter, deadline).run();
}

}  // namespace cpaway::transport
