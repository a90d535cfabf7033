#include "tools/mount_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "tools/option_values.h"

namespace cpaway::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<MountOptions> parse(const std::string& list) {
  MountWords words;
  words.source = "user@host:dir";
  words.mountpoint = "/mnt";
  words.option_lists = {list};
  return parse_mount_options(words);
}

MountOptions parsed(const std::string& list) {
  auto options = parse(list);
  EXPECT_TRUE(options) << list << ": " << (options ? "" : options.error().context);
  return options.value_or(MountOptions());
}

std::string refused(const std::string& list) {
  const auto options = parse(list);
  EXPECT_FALSE(options) << list;
  if (options) {
    return "";
  }
  EXPECT_EQ(options.error().code, Errc::invalid) << list;
  return options.error().context;
}

TEST(MountOptions, DefaultsAreThoseOfTheDesign) {
  const MountOptions o = parsed("");
  EXPECT_EQ(o.session.login.user, "user");
  EXPECT_EQ(o.session.login.host, "host");
  EXPECT_EQ(o.session.directory, "dir");
  EXPECT_EQ(o.filesystem.source, "user@host:dir");
  EXPECT_EQ(o.session.timeout_ms, 60'000);
  EXPECT_EQ(o.session.login.port, 0);
  EXPECT_FALSE(o.session.sync_commit);
  EXPECT_FALSE(o.session.login.host_key_check.has_value());
  EXPECT_EQ(o.filesystem.verify_retries, 3);
  EXPECT_EQ(o.filesystem.window_size, 64ULL << 20U);
  EXPECT_EQ(o.filesystem.idmap, fs::IdMap::user);
  EXPECT_FALSE(o.log_target.has_value());
}

TEST(MountOptions, LoginOptions) {
  const MountOptions o = parsed(
      "port=2222,IdentityFile=/k1,IdentityFile=/k2,UserKnownHostsFile=/kh,"
      "StrictHostKeyChecking=accept-new,Compression=yes,ConnectTimeout=5,password_stdin,"
      "agent=/opt/agent --x,timeout=0,sync=commit,state_dir=/s");
  EXPECT_EQ(o.session.login.port, 2222);
  EXPECT_THAT(o.session.login.identity_files, ElementsAre("/k1", "/k2"));
  EXPECT_EQ(o.session.login.known_hosts_file, "/kh");
  EXPECT_EQ(o.session.login.host_key_check, transport::HostKeyCheck::accept_new);
  EXPECT_TRUE(o.session.login.compress);
  EXPECT_EQ(o.session.login.timeout_ms, 5000);
  EXPECT_TRUE(o.password_stdin);
  EXPECT_EQ(o.session.agent.remote_command, "/opt/agent --x");
  EXPECT_EQ(o.session.timeout_ms, 0);
  EXPECT_TRUE(o.session.sync_commit);
  EXPECT_EQ(o.state_dir, "/s");
}

TEST(MountOptions, FilesystemOptions) {
  const MountOptions o = parsed(
      "ro,allow_other,default_permissions,uid=5,gid=6,umask=027,idmap=none,verify_retries=0,locks="
      "local,"
      "window=8M,copy_programs=cp:pv,noexec,noatime,nonempty");
  EXPECT_TRUE(o.filesystem.read_only);
  EXPECT_TRUE(o.filesystem.allow_other);
  EXPECT_TRUE(o.filesystem.default_permissions);
  EXPECT_EQ(o.filesystem.uid, 5U);
  EXPECT_EQ(o.filesystem.gid, 6U);
  EXPECT_EQ(o.filesystem.umask, 027U);
  EXPECT_EQ(o.filesystem.idmap, fs::IdMap::none);
  EXPECT_EQ(o.filesystem.locks, fs::Locks::local);
  EXPECT_EQ(o.filesystem.verify_retries, 0);
  EXPECT_EQ(o.filesystem.window_size, 8ULL << 20U);
  EXPECT_THAT(o.filesystem.copying_programs, ElementsAre("cp", "pv"));
  EXPECT_TRUE(o.filesystem.noexec);
  EXPECT_TRUE(o.filesystem.noatime);
  EXPECT_TRUE(o.nonempty);
}

TEST(MountOptions, TheLastWordCounts) {
  EXPECT_FALSE(parsed("ro,rw").filesystem.read_only);
  EXPECT_FALSE(parsed("noexec,exec").filesystem.noexec);
  EXPECT_TRUE(parsed("defaults,ro").filesystem.read_only);
}

TEST(MountOptions, SshNamesInAnyCase) {
  EXPECT_EQ(parsed("Port=1").session.login.port, 1);
  EXPECT_TRUE(parsed("compression=yes").session.login.compress);
  EXPECT_EQ(parsed("stricthostkeychecking=no").session.login.host_key_check,
            transport::HostKeyCheck::off);
}

TEST(MountOptions, FstabWordsMeanNothing) {
  for (const char* list : {"_netdev",
                           "nofail",
                           "noauto",
                           "auto",
                           "user",
                           "user=joe",
                           "users",
                           "owner",
                           "group",
                           "x-systemd.automount",
                           "x-gvfs-name=a b",
                           "comment=something",
                           "defaults",
                           "exec",
                           "nosuid,nodev",
                           "atime",
                           "relatime",
                           "norelatime",
                           "nodiratime",
                           "async",
                           "reconnect"}) {
    static_cast<void>(parsed(list));
  }
  EXPECT_TRUE(parsed("sync").session.sync_commit);
  EXPECT_FALSE(parsed("sync=batch").session.sync_commit);
}

TEST(MountOptions, LogAndDebug) {
  EXPECT_EQ(parsed("log=syslog").log_target, "syslog");
  EXPECT_EQ(parsed("log=/var/log/x").log_target, "/var/log/x");
  EXPECT_EQ(parsed("log_level=warning").log_level, log::Level::warning);
  const MountOptions o = parsed("debug");
  EXPECT_EQ(o.log_level, log::Level::debug);
  EXPECT_TRUE(o.filesystem.fuse_debug);
}

TEST(MountOptions, PathsBecomeAbsolute) {
  setenv("HOME", "/home/u", 1);
  char directory[4096];
  ASSERT_NE(getcwd(directory, sizeof directory), nullptr);
  const MountOptions o = parsed("IdentityFile=~/.ssh/id,IdentityFile=key,IdentityFile=%d/id");
  EXPECT_THAT(o.session.login.identity_files,
              ElementsAre("/home/u/.ssh/id", std::string(directory) + "/key", "%d/id"));
}

TEST(MountOptions, SshOnlyOptionsGoToTheSshProgram) {
  EXPECT_THAT(refused("ProxyJump=gate"),
              testing::AllOf(HasSubstr("ProxyJump"), HasSubstr("ssh_command=ssh")));
  const MountOptions o = parsed("ServerAliveInterval=5,ssh_command=ssh -4,proxyjump=gate");
  EXPECT_EQ(o.session.login.ssh_command, "ssh -4");
  EXPECT_THAT(o.session.login.ssh_options, ElementsAre("ServerAliveInterval=5", "proxyjump=gate"));
}

TEST(MountOptions, UnknownOptionsAreNamedWithTheNearest) {
  EXPECT_EQ(refused("alow_other"), "unknown option \"alow_other\"; is \"allow_other\" meant?");
  EXPECT_EQ(refused("prot=2"), "unknown option \"prot\"; is \"port\" meant?");
  EXPECT_EQ(refused("zzzzzzzzz"), "unknown option \"zzzzzzzzz\"");
}

TEST(MountOptions, SloppySkipsOnlyUnknownOnes) {
  MountWords words;
  words.source = "h:";
  words.sloppy = true;
  words.option_lists = {"zzzzzzzzz"};
  EXPECT_TRUE(parse_mount_options(words));
  words.option_lists = {"port=zzz"};
  EXPECT_FALSE(parse_mount_options(words));
}

TEST(MountOptions, WrongValuesAreNamed) {
  for (const char* list : {"port=0",
                           "port=65536",
                           "port=22x",
                           "port=-1",
                           "umask=8",
                           "umask=1000",
                           "uid=-1",
                           "uid=4294967295",
                           "max_conns=0",
                           "max_conns=17",
                           "window=3M",
                           "window=5G",
                           "window=M",
                           "window=99999999999999999999",
                           "verify_retries=101",
                           "timeout=x",
                           "idmap=file",
                           "locks=none",
                           "compress=maybe",
                           "sync=never",
                           "close=later",
                           "StrictHostKeyChecking=perhaps",
                           "log_level=loud",
                           "copy_programs=cp::mv",
                           "copy_programs=:",
                           "ConnectTimeout=0"}) {
    const std::string name = std::string(list).substr(0, std::string(list).find('='));
    EXPECT_THAT(refused(list), HasSubstr(name)) << list;
  }
}

TEST(MountOptions, ValuesWhereTheyBelong) {
  EXPECT_EQ(refused("port"), "option port needs a value");
  EXPECT_EQ(refused("port="), "option port needs a value");
  EXPECT_EQ(refused("allow_other=yes"), "option allow_other takes no value");
  EXPECT_EQ(refused("ssh_command=ssh,ProxyJump"), "option ProxyJump needs a value");
}

TEST(MountOptions, WhatIsNotThereYetSaysSo) {
  static_cast<void>(parsed("close=verified,max_conns=16"));
  EXPECT_THAT(refused("close=async"), HasSubstr("not supported yet"));
  EXPECT_THAT(refused("bwlimit=1M"), HasSubstr("not supported yet"));
  EXPECT_THAT(refused("remount,ro"), HasSubstr("not supported"));
}

TEST(MountOptions, DangerousOnesAreForRoot) {
  if (geteuid() == 0) {
    EXPECT_TRUE(parsed("dev,suid").filesystem.dev);
    EXPECT_FALSE(parsed("dev,nodev").filesystem.dev);
  } else {
    EXPECT_THAT(refused("suid"), HasSubstr("root"));
  }
}

TEST(MountOptions, WordsOfTheCommandLine) {
  MountWords words;
  words.source = "h:";
  words.option_lists = {"ro", "port=1"};
  words.port = "2";
  words.config_file = "/cfg";
  words.foreground = true;
  const auto o = parse_mount_options(words);
  ASSERT_TRUE(o);
  EXPECT_TRUE(o->filesystem.read_only);
  EXPECT_EQ(o->session.login.port, 2);
  EXPECT_EQ(o->session.login.config_file, "/cfg");
  EXPECT_TRUE(o->foreground);
  words.config_file = "none";
  EXPECT_EQ(parse_mount_options(words)->session.login.config_file, "none");
  words.port = "many";
  EXPECT_FALSE(parse_mount_options(words));
}

}  // namespace
}  // namespace cpaway::tools
