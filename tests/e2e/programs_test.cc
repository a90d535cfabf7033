// The programs that people work with, unmodified, on the mount: version control, databases, builds,
// editors.
#include "tests/e2e/real_programs.h"

namespace cpaway::testing {
namespace {

class Programs : public RealPrograms {};

TEST_F(Programs, Git) {
  need({"git"});
  script(R"sh(
    export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=a@b
    git init -q -b main repo && cd repo
    for i in $(seq 60); do mkdir -p d$((i % 7)); seq $i $((i * 30)) > d$((i % 7))/f$i; done
    git add . && git commit -q -m one
    git checkout -q -b other && git mv d1 e1 && sed -i s/1/one/ d2/* && git rm -q d3/f3
    git commit -q -a -m two
    [ -z "$(git status --porcelain)" ]
    git checkout -q main && [ -e d1/f1 ] && [ ! -e e1 ] && [ -e d3/f3 ]
    echo more >> d4/f4 && git commit -q -a -m three && git merge -q -m four other
    git gc -q --prune=now && git fsck --strict --no-progress
    [ -z "$(git status --porcelain)" ]
    cd .. && git clone -q repo copy && git clone -q --no-hardlinks repo $L/away
    git clone -q $L/away back
    for i in copy back; do [ -z "$(git -C $i status --porcelain)" ]; git -C $i fsck; done
    git -C copy reset -q --hard HEAD~1 && git -C copy pull -q
    git -C copy worktree add -q ../tree other && [ -e tree/e1/f1 ]
    diff -r -x .git repo $L/away && diff -r -x .git $R/back $L/away
    git --git-dir=$R/repo/.git -c safe.directory='*' fsck --no-progress
  )sh");
}

// Several processes at once, each with transactions of its own.
constexpr const char* kInsertAtOnce = R"sh(
    sqlite3 db "create table t(who, n); create index i on t(n)"
    for who in 1 2 3 4;
do
      (for n in $(seq 15); do
        sqlite3 -cmd ".timeout 30000" db "begin immediate; insert into t values($who, $n);
          insert into t values($who, -$n); commit"
      done) & pids[$who]=$!
    done
    for who in 1 2 3 4;
do wait ${pids[$who]}; done
    [ "$(sqlite3 db 'select count(*), count(distinct n) from t')" = '120|30' ]
    [ "$(sqlite3 db 'pragma integrity_check')" = ok ]
)sh";

TEST_F(Programs, SqliteWithRollbackJournal) {
  need({"sqlite3"});
  script(kInsertAtOnce);
  script("[ \"$(sqlite3 $R/db 'pragma integrity_check; select count(*) from t')\" = $'ok\\n120' ]");
}

TEST_F(Programs, SqliteWithWriteAheadLog) {
  need({"sqlite3"});
  script(std::string("[ $(sqlite3 db 'pragma journal_mode=wal') = wal ]\n") + kInsertAtOnce);
  script("[ \"$(sqlite3 db 'pragma journal_mode')\" = wal ]");
}

// What a program was told is committed survives it; the rest is rolled back by the next.
TEST_F(Programs, SqliteWriterKilled) {
  need({"sqlite3"});
  for (const std::string mode : {"delete", "wal"}) {
    script("mode=" + mode + R"sh(
      sqlite3 $mode.db "pragma journal_mode=$mode; create table t(n, pad)" > $L/out
      for round in 1 2 3; do
        : > $L/done  # here: what writes it starts in its own time
        (n=0; while :; do
          echo "begin; insert into t values($n, randomblob(5000)); insert into t
            values($n, randomblob(5000)); commit; select 'done', $n;"
          n=$((n + 1))
        done) 2>/dev/null | sqlite3 $mode.db > $L/done & pid=$!
        until [ $(wc -l < $L/done) -ge $((round * 5)) ]; do sleep 0.01; done
        kill -9 $pid; wait $pid || true
        [ "$(sqlite3 $mode.db 'pragma integrity_check')" = ok ]
        [ "$(sqlite3 $mode.db 'select count(*) from (select n from t group by n having
          count(*) % 2 = 1)')" = 0 ]
        committed=$(grep -c done $L/done)
        [ $(sqlite3 $mode.db "select count(*) from t") -ge $((2 * committed)) ]
        sqlite3 $mode.db "delete from t"
      done)sh");
  }
}

TEST_F(Programs, ConfigureAndMake) {
  need({"gcc", "make"});
  script(R"sh(
    mkdir project && cd project
    for i in $(seq 20); do
      echo "#include \"config.h\"
int f$i(int n) { return n + $i * STEP; }" > f$i.c
      echo "int f$i(int n);" >> all.h
    done
    { echo '#include <stdio.h>'; echo '#include "all.h"'; echo 'int main(void) { int n = 0;'
      for i in $(seq 20); do echo "n = f$i(n);"; done
      echo 'printf("%d\n", n); return n != 420; }'; } > main.c
    cat > configure <<'END'
#!/bin/sh
set -e
mkdir -p conftest.dir && cd conftest.dir
echo 'int main(void) { return 0; }' > conftest.c && ${CC:-gcc} conftest.c -o conftest && ./conftest
ln -s conftest.c link.c && ln conftest.c hard.c && cmp link.c hard.c
cd .. && rm -rf conftest.dir
echo '#define STEP 2' > config.h.new && mv -f config.h.new config.h
END
    chmod +x configure
    {
      echo 'OBJS = $(patsubst %.c,%.o,$(wildcard f*.c))'
      echo 'all: program'
      echo '%.o: %.c config.h'; printf '\tgcc -O1 -MMD -c $< -o $@\n'
      echo 'libf.a: $(OBJS)'; printf '\tar rcs $@ $^\n'
      echo 'program: main.o libf.a'; printf '\tgcc main.o libf.a -o $@ && strip $@\n'
      echo 'check: program'; printf '\t./program > result && grep -qx 420 result\n'
    } > Makefile
    ./configure && make -j2 && make check
    make -q program
    [ "$(make | grep -c gcc)" = 0 ]
    touch f3.c && [ "$(make -j2 | grep -c 'gcc.*-c')" = 1 ] && make check
    cmp program $R/project/program && $M/project/program
  )sh");
}

TEST_F(Programs, Editors) {
  need({"vim", "nano", "script"});
  script(R"sh(
    printf 'one\ntwo\n' > f && chmod 640 f && ln -s f link
    for settings in 'backup writebackup backupcopy=auto' 'nobackup nowritebackup' \
        'backup backupcopy=no' 'backup backupcopy=yes'; do
      vim -Nu NONE -i NONE -es -c "set $settings swapfile directory=. undofile" \
        -c 's/^/x/' -c 'wq' f
    done
    [ "$(head -1 f)" = xxxxone ] || [ "$(tail -1 f)" = xxxxtwo ]
    [ "$(stat -c %a f)" = 640 ] && [ -e f~ ] && [ -e .f.un~ ]
    vim -Nu NONE -i NONE -es -c '1d' -c 'wq' link && [ -L link ] && [ "$(wc -l < f)" = 1 ]
    [ -z "$(ls -A | grep swp || true)" ]
    printf 'one\n' > g
    TERM=xterm script -qec "nano --rcfile /dev/null -B g" /dev/null \
      < <(sleep 1; printf 'typed\015'; sleep 0.3; printf '\017'; sleep 0.3; printf '\015'
          sleep 0.5; printf '\030'; sleep 0.5) > $L/screen
    [ "$(cat $R/g)" = $'typed\none' ] && [ "$(cat $R/g~)" = one ]
  )sh");
}

}  // namespace
}  // namespace cpaway::testing
