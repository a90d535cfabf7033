// Names and attributes.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/engine/agent/agent_client.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace cpaway::testing {
namespace {

class NameHandlersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::umask(0);  // as the program does
    ASSERT_TRUE(client.hello(dir.path()));
  }
  struct stat stat_of(const std::string& name) const {
    struct stat st {};
    EXPECT_EQ(::lstat(dir.file(name).c_str(), &st), 0) << name;
    return st;
  }
  Result<wire::Attr> set(const wire::Target& target, const wire::SetAttr& attr) {
    return client.call(wire::SetAttrRequest{target, attr});
  }

  Result<wire::Attr> make_link(const wire::Target& from, const std::string& to) {
    wire::Link request;
    request.from = from;
    request.to = to;
    return client.call(request);
  }

  const TempDir dir;
  AgentClient client;
};

TEST_F(NameHandlersTest, AttributesAreThoseOfStat) {
  write_file(dir.file("f"), "12345", 0754);
  const struct stat st = stat_of("f");
  const auto attr = client.call(wire::GetAttr{{0, "f"}});
  ASSERT_TRUE(attr);
  EXPECT_EQ(attr->dev, st.st_dev);
  EXPECT_EQ(attr->ino, st.st_ino);
  EXPECT_EQ(attr->mode, st.st_mode);
  EXPECT_EQ(attr->nlink, st.st_nlink);
  EXPECT_EQ(attr->uid, st.st_uid);
  EXPECT_EQ(attr->gid, st.st_gid);
  EXPECT_EQ(attr->rdev, st.st_rdev);
  EXPECT_EQ(attr->size, 5U);
  EXPECT_EQ(attr->blocks, static_cast<uint64_t>(st.st_blocks));
  EXPECT_EQ(attr->mtime.seconds, st.st_mtim.tv_sec);
  EXPECT_EQ(attr->mtime.nanoseconds, st.st_mtim.tv_nsec);
  EXPECT_EQ(attr->ctime.nanoseconds, st.st_ctim.tv_nsec);
  EXPECT_EQ(attr->access & ~wire::kNoXattrs, 7);
  write_file(dir.file("plain"), "", 0644);
  EXPECT_EQ(client.call(wire::GetAttr{{0, "plain"}})->access & ~wire::kNoXattrs, 6);
  EXPECT_EQ(errno_of(client.call(wire::GetAttr{{0, "missing"}})), ENOENT);
  EXPECT_EQ(errno_of(client.call(wire::GetAttr{{99, ""}})), EBADF);
}

TEST_F(NameHandlersTest, MakesEachKind) {
  EXPECT_EQ(client.call(wire::MkDir{"d", 01777})->mode, 041777U);
  EXPECT_EQ(client.call(wire::MkNod{"d/f", S_IFREG | 0666, 0})->mode, 0100666U);
  EXPECT_EQ(client.call(wire::MkNod{"fifo", S_IFIFO | 0600, 0})->mode, 010600U);
  EXPECT_EQ(client.call(wire::MkNod{"sock", S_IFSOCK | 0600, 0})->mode, 0140600U);
  const auto link = client.call(wire::SymLink{"d/missing", "link"});
  ASSERT_TRUE(link);
  EXPECT_EQ(link->mode, 0120777U);
  EXPECT_EQ(link->access & ~wire::kNoXattrs, 7);
  EXPECT_EQ(client.call(wire::ReadLink{"link"})->text, "d/missing");
  EXPECT_EQ(make_link({0, "link"}, "link2")->nlink, 2U);  // of the link itself
  EXPECT_EQ(make_link({0, "d/f"}, "f2")->nlink, 2U);
  if (::geteuid() == 0) {
    const auto node = client.call(wire::MkNod{"null", S_IFCHR | 0600, makedev(1, 3)});
    EXPECT_TRUE(!node || node->rdev == makedev(1, 3));
  }
}

TEST_F(NameHandlersTest, WhatRootMakesMayBelongToOthers) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  const wire::Owner owner{12345, 23456};
  const auto made = client.call(wire::MkDir{"d", 0755, owner});
  EXPECT_EQ(made->uid, owner.uid);
  EXPECT_EQ(made->gid, owner.gid);
  ASSERT_EQ(::chmod(dir.file("d").c_str(), 02755), 0);
  const auto below = client.call(wire::MkNod{"d/f", S_IFREG | 04755, 0, wire::Owner{7, 8}});
  EXPECT_EQ(below->uid, 7U);
  EXPECT_EQ(below->gid, owner.gid) << "the directory's";
  EXPECT_EQ(below->mode, 0104755U);
  EXPECT_EQ(client.call(wire::SymLink{"x", "link", owner})->uid, owner.uid);
}

// umask(2), and acl(5) for what outweighs it.
TEST_F(NameHandlersTest, ADefaultAclOutweighsTheUmask) {
  EXPECT_EQ(client.call(wire::MkDir{"d", 0777, std::nullopt, 027})->mode, 040750U);
  EXPECT_EQ(client.call(wire::MkNod{"p", S_IFIFO | 0666, 0, std::nullopt, 077})->mode, 010600U);
  // user::rwx, user:7:rwx, group::rwx, mask::rwx, other::---
  const Bytes acl = {2, 0, 0, 0, 1, 0, 7,  0, 0, 0, 0, 0, 2, 0, 7,  0, 7, 0, 0, 0, 4, 0,
                     7, 0, 0, 0, 0, 0, 16, 0, 7, 0, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0};
  if (!client.call(wire::SetXattr{{0, "d"}, {"system.posix_acl_default", acl}, 0})) {
    GTEST_SKIP() << "no ACLs here";
  }
  EXPECT_EQ(client.call(wire::MkDir{"d/d", 0777, std::nullopt, 027})->mode, 040770U);
}

TEST_F(NameHandlersTest, LeavesAWhiteout) {
  write_file(dir.file("f"), "x");
  if (!client.call(wire::Rename{"f", "g", 4})) {
    GTEST_SKIP() << "needs CAP_MKNOD and a filesystem that can";
  }
  EXPECT_EQ(client.call(wire::GetAttr{{0, "f"}})->mode & S_IFMT, static_cast<uint32_t>(S_IFCHR));
}

TEST_F(NameHandlersTest, ChangingNothingIsAChange) {
  write_file(dir.file("f"), "x");
  const auto before = client.call(wire::GetAttr{{0, "f"}});
  EXPECT_TRUE(wait_until([&] {
    return set({0, "f"}, {}) && client.call(wire::GetAttr{{0, "f"}})->ctime != before->ctime;
  }));
}

TEST_F(NameHandlersTest, LinksAnOpenFile) {
  write_file(dir.file("f"), "kept");
  ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenRead));
  EXPECT_TRUE(make_link({1, ""}, "g"));
  EXPECT_EQ(read_file(dir.file("g")), "kept");
}

TEST_F(NameHandlersTest, RemovesAndRenames) {
  write_file(dir.file("f"), "f");
  write_file(dir.file("g"), "g");
  ASSERT_TRUE(client.call(wire::MkDir{"d", 0755}));
  EXPECT_EQ(errno_of(client.call(wire::Rename{"f", "g", 1})), EEXIST);
  EXPECT_TRUE(client.call(wire::Rename{"f", "g", 2}));
  EXPECT_EQ(read_file(dir.file("g")), "f");
  EXPECT_TRUE(client.call(wire::Rename{"g", "d/h", 0}));
  EXPECT_EQ(errno_of(client.call(wire::RmDir{"d"})), ENOTEMPTY);
  EXPECT_EQ(errno_of(client.call(wire::Unlink{"d"})), EISDIR);
  EXPECT_EQ(errno_of(client.call(wire::RmDir{"f"})), ENOTDIR);
  EXPECT_TRUE(client.call(wire::Unlink{"d/h"}));
  EXPECT_TRUE(client.call(wire::RmDir{"d"}));
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"f"});
}

TEST_F(NameHandlersTest, SetsAttributesByPathAndByHandle) {
  write_file(dir.file("f"), "0123456789");
  ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenRead | wire::kOpenWrite));
  for (const wire::Target& target : {wire::Target{0, "f"}, wire::Target{1, ""}}) {
    wire::SetAttr attr;
    attr.mode = 0;  // does not prevent the new size
    attr.size = 3;
    attr.atime = wire::Time{100, 1};
    attr.mtime = wire::Time{-200, 2};
    const auto answer = set(target, attr);
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->size, 3U);
    EXPECT_EQ(answer->mode, 0100000U);
    EXPECT_EQ(answer->atime, (wire::Time{100, 1}));
    EXPECT_EQ(answer->mtime, (wire::Time{-200, 2}));
    wire::SetAttr now;
    now.mode = 0600;
    now.mtime_now = true;
    EXPECT_GT(set(target, now)->mtime.seconds, 1'600'000'000);
  }
}

TEST_F(NameHandlersTest, SetsAttributesOfTheRootItself) {
  wire::SetAttr attr;
  attr.mode = 0711;
  attr.mtime = wire::Time{1000, 0};
  attr.gid = ::getegid();
  const auto answer = set({0, ""}, attr);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->mode, 040711U);
  EXPECT_EQ(answer->mtime.seconds, 1000);
}

TEST_F(NameHandlersTest, NeverReachesThroughALink) {
  write_file(dir.file("f"), "0123", 0640);
  ASSERT_EQ(::symlink("f", dir.file("link").c_str()), 0);
  wire::SetAttr mode;
  mode.mode = 0777;
  EXPECT_EQ(errno_of(set({0, "link"}, mode)), EOPNOTSUPP);
  wire::SetAttr size;
  size.size = 0;
  EXPECT_EQ(errno_of(set({0, "link"}, size)), ELOOP);
  wire::SetAttr times;
  times.mtime = wire::Time{5, 0};
  EXPECT_EQ(set({0, "link"}, times)->mode & S_IFMT, static_cast<uint32_t>(S_IFLNK));
  const struct stat st = stat_of("f");
  EXPECT_EQ(st.st_mode, 0100640U);
  EXPECT_EQ(st.st_size, 4);
  EXPECT_NE(st.st_mtim.tv_sec, 5);
}

TEST_F(NameHandlersTest, RefusesValuesThatNoFileHas) {
  write_file(dir.file("f"), "x");
  wire::SetAttr attr;
  attr.mode = 0100644;
  EXPECT_EQ(errno_of(set({0, "f"}, attr)), EINVAL);
  attr = {};
  attr.size = UINT64_MAX;
  EXPECT_EQ(errno_of(set({0, "f"}, attr)), EINVAL);
  attr = {};
  attr.mtime = wire::Time{0, 1'000'000'000};
  EXPECT_EQ(errno_of(set({0, "f"}, attr)), EINVAL);
  attr.mtime = wire::Time{0, UTIME_NOW};
  EXPECT_EQ(errno_of(set({0, "f"}, attr)), EINVAL);
  EXPECT_EQ(errno_of(client.call(wire::Rename{"f", "g", 8})), EINVAL);
  EXPECT_EQ(errno_of(client.call(wire::SymLink{std::string("a\0b", 3), "l"})), EINVAL);
  EXPECT_EQ(errno_of(client.call(wire::SymLink{"", "l"})), ENOENT);
  EXPECT_EQ(errno_of(client.call(wire::MkDir{"../d", 0755})), EINVAL);
}

TEST_F(NameHandlersTest, RefusesToTouchTheRootsName) {
  EXPECT_EQ(errno_of(client.call(wire::MkDir{"", 0755})), EEXIST);
  EXPECT_EQ(errno_of(client.call(wire::RmDir{""})), EBUSY);
  EXPECT_EQ(errno_of(client.call(wire::Unlink{""})), EISDIR);
  EXPECT_EQ(errno_of(client.call(wire::Rename{"", "x", 0})), EBUSY);
  EXPECT_EQ(errno_of(client.call(wire::ReadLink{""})), EINVAL);
  EXPECT_EQ(errno_of(make_link({0, ""}, "x")), EPERM);
}

TEST_F(NameHandlersTest, StatFsIsThatOfTheSystem) {
  struct statvfs st {};
  ASSERT_EQ(::statvfs(dir.path().c_str(), &st), 0);
  const auto answer = client.call(wire::StatFs{""});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->block_size, st.f_bsize);
  EXPECT_EQ(answer->blocks, st.f_blocks);
  EXPECT_EQ(answer->name_max, st.f_namemax);
  EXPECT_EQ(errno_of(client.call(wire::StatFs{"missing"})), ENOENT);
}

}  // namespace
}  // namespace cpaway::testing
