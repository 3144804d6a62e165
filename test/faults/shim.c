/*
 * Preloaded into a process (LD_PRELOAD), it stands between the process and the system calls on the files of one
 * folder: numbers them, writes each to a trace, and makes call number n fail. It decides nothing else: which
 * calls an error fits, and what must follow from it, is the test's business.
 *
 *   PERDURE_FAULT_FOLDER  real path of the folder
 *   PERDURE_FAULT_TRACE   file, outside of the folder, that gets a line per call: "number call file [failed|short]"
 *   PERDURE_FAULT_CALLS   " name name ... ": what may fail
 *   PERDURE_FAULT_AT      the first of those calls that has this number or a higher one fails; 0: none does
 *   PERDURE_FAULT_KEEP    1: so do all of them that follow
 *   PERDURE_FAULT_ERRNO   the error; 0: it does not fail, but moves half of the bytes only
 *
 * Calls are passed on with syscall(2), past the C library: nothing has to be looked up, and nothing of it is a
 * cancellation point. Assumes 64 bit off_t.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Some C libraries have the names for large files as macros. */
#undef open64
#undef pread64
#undef pwrite64
#undef preadv64
#undef pwritev64
#undef ftruncate64
#undef fallocate64
#undef posix_fallocate64
#undef mmap64

/* --------------------------------------------------------------------------------------- settings */

static char folder[PATH_MAX];
static size_t folder_length;
static const char *calls_that_fail = "";
static int trace = -1;
static long fail_at;
static int fail_errno;
static bool keep_failing;
static bool has_failed;
static long count;

__attribute__((constructor)) static void start(void) {
  const char *at = getenv("PERDURE_FAULT_AT");
  const char *error = getenv("PERDURE_FAULT_ERRNO");
  const char *calls = getenv("PERDURE_FAULT_CALLS");
  const char *keep = getenv("PERDURE_FAULT_KEEP");
  const char *name = getenv("PERDURE_FAULT_TRACE");
  const char *where = getenv("PERDURE_FAULT_FOLDER");
  if (where == NULL || name == NULL || strlen(where) >= sizeof folder) return;
  trace = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  fail_at = at == NULL ? 0 : atol(at);
  fail_errno = error == NULL ? 0 : atoi(error);
  if (calls != NULL) calls_that_fail = calls;
  keep_failing = keep != NULL && keep[0] == '1';
  strcpy(folder, where);
  folder_length = strlen(folder);
}

/* --------------------------------------------------------------------------------------- which file */

/* What a path is called in the trace; NULL: it does not lie in the folder. */
static const char *name_of_path(const char *path) {
  if (folder_length == 0 || strncmp(path, folder, folder_length) != 0) return NULL;
  if (path[folder_length] == 0) return "folder";
  if (path[folder_length] != '/') return NULL;
  if (strstr(path + folder_length, ".lock") != NULL) return "lock";
  return strstr(path + folder_length, "-wal") != NULL ? "wal" : "pool";
}

static const char *name_of(int fd) {
  char link[32], path[PATH_MAX];
  const int before = errno;
  if (folder_length == 0 || fd < 0) return NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  errno = before;
  if (length <= 0) return NULL;
  path[length] = 0;
  return name_of_path(path);
}

/* Where files of the folder are mapped: madvise, msync and mremap know addresses only. */
typedef struct {
  uintptr_t start, end;
  const char *file;
} Range;
static Range ranges[256];
static bool ranges_locked;

static void lock_ranges(void) {
  while (__atomic_test_and_set(&ranges_locked, __ATOMIC_ACQUIRE)) continue;
}

static void unlock_ranges(void) { __atomic_clear(&ranges_locked, __ATOMIC_RELEASE); }

static void add_range(void *address, size_t length, const char *file) {
  lock_ranges();
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    if (ranges[i].file != NULL) continue;
    ranges[i] = (Range){(uintptr_t)address, (uintptr_t)address + length, file};
    break;
  }
  unlock_ranges();
}

static void drop_ranges(void *address, size_t length) {
  const uintptr_t start = (uintptr_t)address;
  lock_ranges();
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    if (ranges[i].start >= start && ranges[i].start < start + length) ranges[i].file = NULL;
  }
  unlock_ranges();
}

static const char *name_at(void *address) {
  const uintptr_t at = (uintptr_t)address;
  const char *file = NULL;
  lock_ranges();
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    if (ranges[i].file != NULL && ranges[i].start <= at && at < ranges[i].end) file = ranges[i].file;
  }
  unlock_ranges();
  return file;
}

/* --------------------------------------------------------------------------------------- verdict */

typedef enum { PASS, FAIL, HALVE } Verdict;

static bool is_named(const char *call) {
  char word[32];
  snprintf(word, sizeof word, " %s ", call);
  return strstr(calls_that_fail, word) != NULL;
}

/* Numbers the call, and says what becomes of it; with FAIL, errno is set. */
static Verdict judge(const char *call, const char *file) {
  char line[96];
  const int before = errno;
  if (file == NULL) return PASS;
  const long number = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
  const bool fits = fail_at > 0 && number >= fail_at && is_named(call);
  const bool due = fits && (!__atomic_test_and_set(&has_failed, __ATOMIC_RELAXED) || keep_failing);
  const char *mark = !due ? "" : fail_errno != 0 ? " failed" : " short";
  const int length = snprintf(line, sizeof line, "%ld %s %s%s\n", number, call, file, mark);
  syscall(SYS_write, trace, line, (size_t)length);
  errno = due && fail_errno != 0 ? fail_errno : before;
  return !due ? PASS : fail_errno != 0 ? FAIL : HALVE;
}

/* --------------------------------------------------------------------------------------- bytes */

static size_t half(Verdict verdict, size_t length) {
  return verdict == HALVE && length > 1 ? length / 2 : length;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  const Verdict verdict = judge("write", name_of(fd));
  return verdict == FAIL ? -1 : syscall(SYS_write, fd, bytes, half(verdict, length));
}

ssize_t read(int fd, void *bytes, size_t length) {
  const Verdict verdict = judge("read", name_of(fd));
  return verdict == FAIL ? -1 : syscall(SYS_read, fd, bytes, half(verdict, length));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  const Verdict verdict = judge("pwrite", name_of(fd));
  return verdict == FAIL ? -1 : syscall(SYS_pwrite64, fd, bytes, half(verdict, length), at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { return pwrite(fd, bytes, length, at); }

ssize_t pread(int fd, void *bytes, size_t length, off_t at) {
  const Verdict verdict = judge("pread", name_of(fd));
  return verdict == FAIL ? -1 : syscall(SYS_pread64, fd, bytes, half(verdict, length), at);
}

ssize_t pread64(int fd, void *bytes, size_t length, off_t at) { return pread(fd, bytes, length, at); }

/* What compilers that check the sizes of buffers make of pread. */
ssize_t __pread_chk(int fd, void *bytes, size_t length, off_t at, size_t room) {
  (void)room;
  return pread(fd, bytes, length, at);
}

ssize_t __pread64_chk(int fd, void *bytes, size_t length, off_t at, size_t room) {
  (void)room;
  return pread(fd, bytes, length, at);
}

/* Half of a vector: half of its parts, or half of the only one. */
static ssize_t vectored(long number, Verdict verdict, int fd, const struct iovec *parts, int n, off_t at) {
  struct iovec first;
  if (verdict == FAIL) return -1;
  if (verdict == HALVE && n > 1) n /= 2;
  else if (verdict == HALVE && n == 1) {
    first = (struct iovec){parts[0].iov_base, half(verdict, parts[0].iov_len)};
    parts = &first;
  }
  return syscall(number, fd, parts, n, at, 0); /* the high half of the position counts on 32 bit only */
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at) {
  return vectored(SYS_pwritev, judge("pwritev", name_of(fd)), fd, parts, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int n, off_t at) { return pwritev(fd, parts, n, at); }

ssize_t preadv(int fd, const struct iovec *parts, int n, off_t at) {
  return vectored(SYS_preadv, judge("preadv", name_of(fd)), fd, parts, n, at);
}

ssize_t preadv64(int fd, const struct iovec *parts, int n, off_t at) { return preadv(fd, parts, n, at); }

ssize_t writev(int fd, const struct iovec *parts, int n) {
  return vectored(SYS_writev, judge("writev", name_of(fd)), fd, parts, n, 0);
}

/* --------------------------------------------------------------------------------------- sizes and syncs */

int ftruncate(int fd, off_t size) {
  return judge("ftruncate", name_of(fd)) == FAIL ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

int fallocate(int fd, int mode, off_t at, off_t length) {
  return judge("fallocate", name_of(fd)) == FAIL ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, length);
}

int fallocate64(int fd, int mode, off_t at, off_t length) { return fallocate(fd, mode, at, length); }

int posix_fallocate(int fd, off_t at, off_t length) {
  const int before = errno;
  const int error = fallocate(fd, 0, at, length) == 0 ? 0 : errno;
  errno = before;
  return error;
}

int posix_fallocate64(int fd, off_t at, off_t length) { return posix_fallocate(fd, at, length); }

int fsync(int fd) { return judge("fsync", name_of(fd)) == FAIL ? -1 : (int)syscall(SYS_fsync, fd); }

int fdatasync(int fd) {
  return judge("fdatasync", name_of(fd)) == FAIL ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int sync_file_range(int fd, off_t at, off_t length, unsigned flags) {
  if (judge("sync_file_range", name_of(fd)) == FAIL) return -1;
#ifdef SYS_sync_file_range
  return (int)syscall(SYS_sync_file_range, fd, at, length, flags);
#else
  return (int)syscall(SYS_sync_file_range2, fd, flags, at, length);
#endif
}

/* --------------------------------------------------------------------------------------- memory */

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t at) {
  const char *file = flags & MAP_ANONYMOUS ? NULL : name_of(fd);
  if (judge("mmap", file) == FAIL) return MAP_FAILED;
  void *mapped = (void *)syscall(SYS_mmap, address, length, protection, flags, fd, at);
  if (file != NULL && mapped != MAP_FAILED) add_range(mapped, length, file);
  return mapped;
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t at) {
  return mmap(address, length, protection, flags, fd, at);
}

int munmap(void *address, size_t length) {
  drop_ranges(address, length);
  return (int)syscall(SYS_munmap, address, length);
}

void *mremap(void *address, size_t length, size_t new_length, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  void *target = flags & MREMAP_FIXED ? va_arg(rest, void *) : NULL;
  va_end(rest);
  const char *file = name_at(address);
  if (judge("mremap", file) == FAIL) return MAP_FAILED;
  void *moved = (void *)syscall(SYS_mremap, address, length, new_length, flags, target);
  if (file != NULL && moved != MAP_FAILED) {
    drop_ranges(address, length);
    add_range(moved, new_length, file);
  }
  return moved;
}

int msync(void *address, size_t length, int flags) {
  return judge("msync", name_at(address)) == FAIL ? -1 : (int)syscall(SYS_msync, address, length, flags);
}

int madvise(void *address, size_t length, int advice) {
  return judge("madvise", name_at(address)) == FAIL ? -1 : (int)syscall(SYS_madvise, address, length, advice);
}

/* --------------------------------------------------------------------------------------- names */

static int open_file(const char *path, int flags, mode_t mode) {
  if (judge("open", name_of_path(path)) == FAIL) return -1;
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_file(path, flags, mode);
}

/* What compilers that check arguments make of an open without a mode. */
int __open_2(const char *path, int flags) { return open_file(path, flags, 0); }

int __open64_2(const char *path, int flags) { return open_file(path, flags, 0); }

int openat(int at, const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (path[0] == '/') return open_file(path, flags, mode);
  return (int)syscall(SYS_openat, at, path, flags, mode);
}

int link(const char *from, const char *to) {
  if (judge("link", name_of_path(to)) == FAIL) return -1;
  return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int rename(const char *from, const char *to) {
  if (judge("rename", name_of_path(to)) == FAIL) return -1;
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path) {
  return judge("unlink", name_of_path(path)) == FAIL ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
