/*
 * An open file: opening, writing, syncing, and the names of errors. Knows nothing of JavaScript. Writes and syncs may
 * come from any thread.
 *
 * INV-NAT-4 is kept here: the first failure is noted, and nothing is tried afterwards.
 */
#include "perdure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --------------------------------------------------------------------------------------- open, close */

void file_init(File *file, char *path) {
  file->fd = -1;
  file->path = path;
  pthread_mutex_init(&file->syncing, NULL);
}

int file_open(File *file, int flags, uint32_t mode, const char **syscall) {
  struct stat info;
  *syscall = "open"; /* O_NONBLOCK: a fifo must not hold the thread until it is recognised */
  do file->fd = open(file->path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, mode);
  while (file->fd < 0 && errno == EINTR);
  if (file->fd < 0) return errno == EISDIR ? NOT_REGULAR : errno;
  *syscall = "fstat";
  if (fstat(file->fd, &info) != 0) return errno;
  return S_ISREG(info.st_mode) ? 0 : NOT_REGULAR;
}

void file_close(File *file) {
  if (file->fd >= 0) close(file->fd);
  file->fd = -1;
}

void file_free(File *file) {
  pthread_mutex_destroy(&file->syncing);
  free(file->path);
}

/* --------------------------------------------------------------------------------------- failure */

int file_error(const File *file) { return __atomic_load_n(&file->error, __ATOMIC_ACQUIRE); }

int file_fail(File *file, int error, const char *syscall) {
  static const double one = 1;
  const char *none = NULL;
  if (__atomic_compare_exchange_n(&file->syscall, &none, syscall, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    __atomic_store_n(&file->error, error, __ATOMIC_RELEASE);
    if (file->flag != NULL) __atomic_store(file->flag, &one, __ATOMIC_RELEASE);
  }
  return error;
}

/* --------------------------------------------------------------------------------------- write, sync */

int file_write(File *file, const void *bytes, uint64_t length, uint64_t at) {
  const uint8_t *from = bytes;
  const int failed = file_error(file);
  if (failed != 0) return failed;
  while (length > 0) {
    const ssize_t written = pwrite(file->fd, from, length, (off_t)at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return file_fail(file, written == 0 ? EIO : errno, "pwrite");
    from += written;
    at += (uint64_t)written;
    length -= (uint64_t)written;
  }
  return 0;
}

static int sync_locked(File *file, bool metadata) {
  int result;
  const int failed = file_error(file);
  if (failed != 0) return failed;
  do result = metadata ? fsync(file->fd) : fdatasync(file->fd);
  while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : file_fail(file, errno, metadata ? "fsync" : "fdatasync");
}

int file_sync(File *file, bool metadata) {
  pthread_mutex_lock(&file->syncing);
  const int error = sync_locked(file, metadata);
  pthread_mutex_unlock(&file->syncing);
  return error;
}

int file_sync_locked(File *file) { return sync_locked(file, false); }

int file_zero(int fd, uint64_t from, uint64_t to) {
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

/* --------------------------------------------------------------------------------------- file size limit */

void hold_signal(SignalGuard *guard) {
  sigemptyset(&guard->limit);
  sigaddset(&guard->limit, SIGXFSZ);
  sigpending(&guard->pending);
  pthread_sigmask(SIG_BLOCK, &guard->limit, &guard->before);
}

void release_signal(SignalGuard *guard) {
  const struct timespec now = {0, 0};
  if (!sigismember(&guard->pending, SIGXFSZ)) {
    while (sigtimedwait(&guard->limit, NULL, &now) < 0 && errno == EINTR) continue;
  }
  pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
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
