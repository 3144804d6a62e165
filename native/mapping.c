/*
 * The system calls on a pool's file: open, lock, map, allocate, release. Knows nothing of JavaScript; a failed
 * call is an errno and a name. After a failure everything opened on the way is closed again.
 */
#include "perdure.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

/* --------------------------------------------------------------------------------------- open, release */

static uint64_t page_up(uint64_t bytes) { return (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1); }

/*
 * Address space for the whole pool: memory that reads as zero and belongs to no file. The file lies over its start.
 * A reference that points beyond the end of the file (a damaged pool) reads zeros and is found out, where a mapping
 * of the file beyond its end would be a bus error.
 */
static int reserve(Mapping *m) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *base = mmap(NULL, m->length, PROT_READ | PROT_WRITE, flags, -1, 0);
  /* Where memory may not be overcommitted, only what cannot be written is free. */
  if (base == MAP_FAILED && errno == ENOMEM) base = mmap(NULL, m->length, PROT_READ, flags, -1, 0);
  if (base == MAP_FAILED) return errno;
  m->base = base;
  return 0;
}

static int cover_with(Mapping *m, uint64_t to, int flags) {
  const uint64_t length = to - m->covered;
  void *start = m->base + m->covered;
  void *mapped = mmap(start, length, PROT_READ | PROT_WRITE, flags | MAP_FIXED | MAP_NORESERVE, m->fd, (off_t)m->covered);
  return mapped == MAP_FAILED ? errno : 0;
}

/* Lays the file over the reservation up to `bytes`. What is mapped stays where it is. */
static int cover(Mapping *m, uint64_t bytes) {
  const uint64_t to = page_up(bytes < m->length ? bytes : m->length);
  int error;
  if (to <= m->covered) return 0;
  if (m->copy_on_write) error = cover_with(m, to, MAP_PRIVATE);
  else error = cover_with(m, to, MAP_SHARED_VALIDATE | MAP_SYNC);
  if (error == 0 && !m->copy_on_write) m->synchronous = true;
  /* A file is synchronous as a whole or not at all. */
  if (error != 0 && !m->copy_on_write && !m->synchronous) error = cover_with(m, to, MAP_SHARED);
  if (error == 0) m->covered = to;
  return error;
}

static int map_descriptor(Mapping *m, uint32_t flags, MapResult *result) {
  m->copy_on_write = (flags & MAP_COPY_ON_WRITE) != 0;
  int error = reserve(m);
  /* At least a page, so that a new and empty file shows whether it can be synchronous. */
  if (error == 0) error = cover(m, m->size > 0 ? m->size : 1);
  result->synchronous = m->synchronous;
  return error;
}

static int open_steps(Mapping *m, uint32_t flags, MapResult *result, const char **syscall) {
  struct stat info;
  const int create = flags & MAP_CREATE ? O_CREAT | O_EXCL : 0;
  *syscall = "open"; /* O_NONBLOCK: a fifo must not hold the thread until it is recognised */
  do m->fd = open(m->path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | create, 0666);
  while (m->fd < 0 && errno == EINTR);
  if (m->fd < 0) return errno == EISDIR ? NOT_REGULAR : errno;
  *syscall = "fstat";
  if (fstat(m->fd, &info) != 0) return errno;
  if (!S_ISREG(info.st_mode)) return NOT_REGULAR;
  *syscall = "flock"; /* belongs to this open file: a second opening in the same process is refused too */
  if (flock(m->fd, LOCK_EX | LOCK_NB) != 0) return errno;
  *syscall = "fstat"; /* again: the size counts from when the lock is held */
  if (fstat(m->fd, &info) != 0) return errno;
  m->size = (uint64_t)info.st_size < m->length ? (uint64_t)info.st_size : m->length;
  result->size = (uint64_t)info.st_size;
  result->allocated = (uint64_t)info.st_blocks * 512;
  *syscall = "mmap";
  return map_descriptor(m, flags, result);
}

int mapping_open(Mapping *m, uint32_t flags, MapResult *result, const char **syscall) {
  m->fd = -1;
  m->base = NULL;
  memset(result, 0, sizeof *result);
  const int error = open_steps(m, flags, result, syscall);
  if (error == 0) {
    m->open = true;
    return 0;
  }
  const bool created = m->fd >= 0 && (flags & MAP_CREATE) != 0;
  mapping_release(m, true);
  if (created) unlink(m->path); /* O_EXCL: it is ours */
  return error;
}

void mapping_release(Mapping *m, bool unmap) {
  m->open = false;
  m->size = 0;
  if (unmap && m->base != NULL) {
    munmap(m->base, m->length);
    m->base = NULL;
    m->covered = 0;
  }
  if (m->fd >= 0) {
    flock(m->fd, LOCK_UN); /* explicitly: a child between fork and exec may still share the open file */
    close(m->fd);
    m->fd = -1;
  }
}

/* --------------------------------------------------------------------------------------- size */

/* A file size limit (ulimit -f) raises SIGXFSZ, which would kill the process: held back, it is only EFBIG. */
typedef struct {
  sigset_t limit, before, pending;
} SignalGuard;

static void hold_signal(SignalGuard *guard) {
  sigemptyset(&guard->limit);
  sigaddset(&guard->limit, SIGXFSZ);
  sigpending(&guard->pending);
  pthread_sigmask(SIG_BLOCK, &guard->limit, &guard->before);
}

static void release_signal(SignalGuard *guard) {
  const struct timespec now = {0, 0};
  if (!sigismember(&guard->pending, SIGXFSZ)) {
    while (sigtimedwait(&guard->limit, NULL, &now) < 0 && errno == EINTR) continue;
  }
  pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

/* For file systems without fallocate: writing zeros allocates too. Only ever beyond the end of the file. */
static int write_zeros(int fd, uint64_t from, uint64_t to) {
  static const uint8_t zeros[65536];
  while (from < to) {
    const uint64_t left = to - from;
    const ssize_t written = pwrite(fd, zeros, left < sizeof zeros ? left : sizeof zeros, (off_t)from);
    if (written > 0) from += (uint64_t)written;
    else if (written == 0) return ENOSPC;
    else if (errno != EINTR) return errno;
  }
  return 0;
}

static int allocate(Mapping *m, uint64_t from, uint64_t to, const char **syscall) {
  int result;
  *syscall = "fallocate";
  do result = fallocate(m->fd, 0, (off_t)from, (off_t)(to - from));
  while (result != 0 && errno == EINTR);
  if (result == 0) return 0;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
  *syscall = "pwrite";
  return write_zeros(m->fd, from > m->size ? from : m->size, to);
}

int mapping_allocate(Mapping *m, uint64_t from, uint64_t to, const char **syscall) {
  SignalGuard guard;
  if (from >= to) return 0;
  hold_signal(&guard);
  const int error = allocate(m, from, to, syscall);
  release_signal(&guard);
  if (error == 0) {
    *syscall = "mmap";
    const int failure = cover(m, to);
    if (failure != 0) return failure;
    if (to > m->size) m->size = to;
    return 0;
  }
  /* A failure part of the way may have made the file longer. */
  if (to > m->size && ftruncate(m->fd, (off_t)m->size) != 0) {
    *syscall = "ftruncate";
    return errno;
  }
  return error;
}

int mapping_truncate(Mapping *m, uint64_t size) {
  SignalGuard guard;
  hold_signal(&guard);
  const int error = ftruncate(m->fd, (off_t)size) == 0 ? 0 : errno;
  release_signal(&guard);
  if (error != 0) return error;
  m->size = size;
  return cover(m, size);
}

/* --------------------------------------------------------------------------------------- names of errors */

#define NAME(code) \
  case code: \
    return #code;

const char *errno_name(int error) {
  switch (error) {
    NAME(EACCES) NAME(EAGAIN) NAME(EBADF) NAME(EBUSY) NAME(EDQUOT) NAME(EEXIST) NAME(EFAULT) NAME(EFBIG) NAME(EINTR)
    NAME(EINVAL) NAME(EIO) NAME(EISDIR) NAME(ELOOP) NAME(EMFILE) NAME(EMLINK) NAME(ENAMETOOLONG) NAME(ENFILE)
    NAME(ENODEV) NAME(ENOENT) NAME(ENOLCK) NAME(ENOMEM) NAME(ENOSPC) NAME(ENOSYS) NAME(ENOTDIR) NAME(ENXIO)
    NAME(EOPNOTSUPP) NAME(EOVERFLOW) NAME(EPERM) NAME(EROFS) NAME(ESPIPE) NAME(ESTALE) NAME(ETXTBSY) NAME(EXDEV)
    case NOT_REGULAR:
      return "NOT_REGULAR";
    default:
      return "EUNKNOWN";
  }
}
