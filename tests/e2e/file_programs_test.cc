// The programs that move files and trees, unmodified, on the mount.
#include "tests/e2e/real_programs.h"

namespace cpaway::testing {
namespace {

class FilePrograms : public RealPrograms {};

constexpr const char* kMakeTree = R"sh(
    mkdir $L/tree && cd $L/tree
    for d in a a/b a/b/c d; do
      mkdir -p $d; echo $d > $d/f; head -c 70000 /dev/urandom > $d/g; ln -s ../f $d/link
      : > $d/empty; chmod 604 $d/f; touch -d '2001-02-03 04:05:06.789' $d/g
    done
    ln a/f d/hard; mkfifo a/pipe; chmod 2751 d; touch -d 2002-03-04 a/b a; cd $M
)sh";
// Of each name: type, mode, number of links, size, times, target.
constexpr const char* kDescribe = R"sh(
    describe() { (cd $1 && find . -type d -printf '%p %M %T@\n' \
      -o -printf '%p %M %n %s %T@ %l\n' | sort); }
)sh";

TEST_F(FilePrograms, TarOfManyFiles) {
  script(R"sh(
    mkdir $L/tree
    for d in $(seq 30); do mkdir $L/tree/d$d; for f in $(seq 100); do
      echo $d $f > $L/tree/d$d/f$f; done; done
    tar -C $L -cf $L/tree.tar tree && tar -xf $L/tree.tar
    diff -r $L/tree tree && diff -r $L/tree $R/tree
    [ $(find tree -type f | wc -l) = 3000 ]
    tar -cf - tree | tar -C $L -df - && tar --compare -f $L/tree.tar
    rm -r tree && [ -z "$(ls -A)" ]
  )sh");
}

TEST_F(FilePrograms, RsyncTwice) {
  need({"rsync"});
  script(std::string(kMakeTree) + R"sh(
    rsync -aH $L/tree/ copy/ && [ -z "$(rsync -aHi $L/tree/ copy/)" ]
    for i in '' --inplace --checksum '--inplace --no-whole-file' --delay-updates; do
      echo more >> $L/tree/a/g; rm $L/tree/a/b/f; echo new > $L/tree/a/b/f
      rsync -aH --delete $i $L/tree/ copy/
      [ -z "$(rsync -aHi --delete $L/tree/ copy/)" ]
    done
    rsync -aH copy/ again/ && [ -z "$(rsync -aHi copy/ again/)" ]
    rsync -aH copy/ $L/back/ && [ -z "$(rsync -aHi --checksum $L/back/ $L/tree/)" ]
  )sh");
}

TEST_F(FilePrograms, DdInEveryMode) {
  script(R"sh(
    head -c 300001 /dev/urandom > $L/in; head -c 200000 /dev/zero >> $L/in
    same() {  # the same dd here and there
      expected=0; (cd $L && dd if=in status=none "$@" of=out) 2>/dev/null || expected=$?
      code=0; dd if=$L/in status=none "$@" of=out 2> $L/err || code=$?
      [ $code = $expected ] || { echo "dd $*: $code"; cat $L/err; exit 1; }
      cmp $L/out out && cmp $L/out $R/out || { echo "dd $*"; exit 1; }
    }
    same bs=64k
    same bs=1000 conv=notrunc seek=3 count=5
    same bs=1000 seek=3 count=5
    same bs=7777 conv=sync
    same bs=64k conv=fsync
    same bs=64k conv=fdatasync
    same bs=4096 conv=sparse
    same bs=4096 conv=sparse,notrunc seek=9
    same bs=64k conv=excl
    same bs=64k conv=nocreat
    same bs=512 conv=swab,ucase
    same bs=64k oflag=append conv=notrunc
    same bs=64k oflag=sync
    same bs=64k oflag=dsync conv=notrunc
    same bs=4096 oflag=direct count=70
    same bs=4096 iflag=fullblock oflag=seek_bytes seek=12345 conv=notrunc
    rm out $L/out
    if dd if=$L/in bs=64k conv=nocreat of=out 2>/dev/null; then exit 1; fi; [ ! -e out ]
    same bs=64k conv=excl
    dd if=out iflag=direct bs=4096 status=none | cmp - $L/in
    dd if=out bs=1000 skip=7 status=none | cmp - <(dd if=$L/in bs=1000 skip=7 status=none)
  )sh");
}

TEST_F(FilePrograms, CopiesAndMovesOfTrees) {
  script(std::string(kMakeTree) + kDescribe + R"sh(
    cp -a $L/tree in && diff <(describe $L/tree) <(describe in)
    cp -a in within && diff <(describe in) <(describe within)
    cp -a within $L/out && diff <(describe $L/tree) <(describe $L/out)
    mv within moved && [ ! -e within ] && diff <(describe in) <(describe moved)
    mkdir deep && mv moved deep/ && diff <(describe in) <(describe deep/moved)
    mv deep/moved $L/away && [ -z "$(ls -A deep)" ]
    diff <(describe $L/tree) <(describe $L/away)
    mv $L/away back && [ ! -e $L/away ] && diff <(describe $L/tree) <(describe back)
    diff <(describe back) <(describe $R/back)
    cp -al back links && [ $(stat -c %h back/a/g) = 2 ] && rm -r links
    cp -as $M/back symlinks && cmp symlinks/a/g back/a/g
    rm -r in back deep symlinks && [ -z "$(ls -A)" ]
  )sh");
}

TEST_F(FilePrograms, SparseCopiesAndInstall) {
  script(R"sh(
    truncate -s 3M $L/s; echo middle | dd of=$L/s bs=1 seek=1500000 conv=notrunc status=none
    truncate -s 2500001 $L/s
    for how in always auto never; do cp --sparse=$how $L/s s.$how; cmp $L/s $R/s.$how; done
    cp --sparse=always s.never again && cmp again $L/s
    cp --reflink=auto s.never reflink && cmp reflink $L/s
    install -m 750 -D $L/s bin/deep/program && [ "$(stat -c %a bin/deep/program)" = 750 ]
    echo new > $L/t; install -m 644 -b $L/t bin/deep/program
    [ "$(cat $R/bin/deep/program)" = new ] && cmp bin/deep/program~ $L/s
    install -p -T $L/t u && [ u -nt $L/s ] && ! [ u -nt $L/t ]
    cp -b --suffix=.old $L/s u && [ "$(cat u.old)" = new ]
    cp -u $L/t u; cp --remove-destination $L/t u; cp -n $L/s u; [ "$(cat u)" = new ]
    ln -s u l && cp $L/s l && [ -L l ] && cmp u $L/s
  )sh");
}

TEST_F(FilePrograms, FioVerifies) {
  need({"fio"});
  for (const std::string how : {"psync --bsrange=1k-64k --bs_unaligned", "mmap --bsrange=4k-64k"}) {
    script("how='" + how + "'" + R"sh(
      fio --name=v --directory=$M --ioengine=$how --rw=randrw --size=2m --numjobs=4 \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --fallocate=none --fsync=40 \
        --group_reporting --output=$L/fio
      if grep -i verify: $L/fio; then exit 1; fi
    )sh");
  }
}

}  // namespace
}  // namespace cpaway::testing
