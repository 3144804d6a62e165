/*
 * The file of the write-ahead log: opening, mapping, reading, writing, its size. Knows nothing of JavaScript. All but
 * wal_extend runs on the JavaScript thread.
 */
#include "wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_AND_WAIT (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER)

/* --------------------------------------------------------------------------------------- open, close */

static void set_size(Wal *w, uint64_t size) {
  const double shown = (double)size;
  __atomic_store_n(&w->size, size, __ATOMIC_RELEASE);
  __atomic_store(&w->state[STATE_SIZE], &shown, __ATOMIC_RELEASE);
}

/* Whoever may read and write the pool may do so with its log, and nobody else. */
static int create(Wal *w, const char **syscall) {
  struct stat pool;
  *syscall = "fstat";
  if (fstat(w->m->file.fd, &pool) != 0) return errno;
  const int error = file_open(&w->file, O_CREAT | O_EXCL, pool.st_mode & 0666, syscall);
  if (error != 0) return error;
  w->created = true;
  /* Past the umask, and to the pool's owner where root makes it. Where that is not permitted the log works all the same. */
  const bool same = fchmod(w->file.fd, pool.st_mode & 0666) == 0 && fchown(w->file.fd, pool.st_uid, pool.st_gid) == 0;
  (void)same;
  return 0;
}

int wal_open(Wal *w, uint32_t flags, const char **syscall) {
  struct stat info;
  w->store = (flags & (WAL_STORE | WAL_SYNCHRONOUS)) != 0;
  w->synchronous = (flags & WAL_SYNCHRONOUS) != 0;
  int error = file_open(&w->file, 0, 0, syscall);
  if (error == ENOENT && flags & WAL_CREATE) error = create(w, syscall);
  if (error == 0) {
    *syscall = "fstat";
    if (fstat(w->file.fd, &info) != 0) error = errno;
  }
  if (error == 0) {
    *syscall = "open"; /* now: later the path may lead to another file, or there may be no descriptor left */
    do w->filler = open(w->file.path, O_RDWR | O_CLOEXEC);
    while (w->filler < 0 && errno == EINTR);
    if (w->filler < 0) error = errno;
  }
  if (error != 0) {
    file_close(&w->file);
    return error;
  }
  set_size(w, (uint64_t)info.st_size);
  w->written = w->created ? 0 : 1; /* what an earlier process wrote may not be durable yet */
  w->file.flag = w->m->file.flag = &w->state[STATE_FAILED];
  w->m->wal = w;
  w->open = true;
  return 0;
}

static void unmap(Wal *w) {
  if (w->base != NULL) munmap(w->base, w->mapped);
  w->base = NULL;
  w->mapped = 0;
}

void wal_close(Wal *w) {
  if (!w->open) return;
  w->open = false;
  wal_stop(w);
  unmap(w);
  close(w->filler);
  file_close(&w->file);
  free(w->gather);
  free(w->job.staging);
  free(w->job.runs);
  w->gather = NULL;
  memset(&w->job, 0, sizeof w->job);
  w->file.flag = w->m->file.flag = NULL;
  w->m->wal = NULL;
}

const File *wal_failed(const Wal *w) {
  if (file_error(&w->file) != 0) return &w->file;
  return file_error(&w->m->file) != 0 ? &w->m->file : NULL;
}

/* --------------------------------------------------------------------------------------- content */

int wal_map(Wal *w) {
  const uint64_t size = __atomic_load_n(&w->size, __ATOMIC_ACQUIRE);
  const uint64_t wanted = (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
  void *mapped;
  if (w->mapped >= size) return 0;
  if (w->base != NULL) mapped = mremap(w->base, w->mapped, wanted, MREMAP_MAYMOVE);
  else mapped = map_shared(&w->file, NULL, 0, wanted, w->synchronous && w->m->synchronous);
  if (mapped == MAP_FAILED) return errno;
  w->base = mapped;
  w->mapped = wanted;
  return 0;
}

int wal_read(const Wal *w, uint64_t at, uint8_t *target, uint64_t bytes) {
  while (bytes > 0) {
    const ssize_t got = pread(w->file.fd, target, bytes, (off_t)at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) break;
    target += got;
    at += (uint64_t)got;
    bytes -= (uint64_t)got;
  }
  if (bytes > 0) memset(target, 0, bytes);
  return 0;
}

int wal_write(Wal *w, uint64_t at, const uint8_t *bytes, uint64_t length) {
  uint64_t last_line = NO_LINE;
  int error = 0;
  if (wal_failed(w) != NULL) return file_error(wal_failed(w));
  if (length == 0) return 0;
  if (!w->synchronous) {
    error = file_write(&w->file, bytes, length, at);
    if (error != 0) return error;
    account_lines(w->m, count_range(at, length, &last_line));
    wal_wrote(w);
    return 0;
  }
  error = wal_map(w);
  if (error != 0) return error;
  memcpy(w->base + at, bytes, length);
  account_lines(w->m, flush_range(w->m, w->base, at, length, &last_line));
  return 0;
}

/* --------------------------------------------------------------------------------------- size */

/*
 * Whether the log's new part must be durable before it is used. A program that stores its records does not wait for
 * syncs: the next one takes the new part along, on a disk. In byte-addressable memory there is none.
 */
static bool extends_durably(const Wal *w) { return !w->store || w->synchronous; }

/*
 * Written, not only allocated: the first sync of an allocated block that was never written has to note that it is
 * now. Piece by piece, so that a commit's sync meanwhile finds little to write; through a descriptor of its own, which
 * does not use up errors that the log's own sync must be told of.
 */
static int fill(Wal *w, uint64_t from, uint64_t to, const char **syscall) {
  const uint64_t piece = 256 * 1024;
  const int fd = w->filler;
  int error = 0;
  *syscall = "fallocate"; /* in one go: few extents, and no room is found out at once */
  while (fallocate(fd, 0, (off_t)from, (off_t)(to - from)) != 0) {
    if (errno == EINTR) continue;
    if (errno != EOPNOTSUPP && errno != ENOSYS) error = errno;
    break;
  }
  for (uint64_t at = from; error == 0 && at < to; at += piece) {
    const uint64_t end = at + piece < to ? at + piece : to;
    *syscall = "pwrite";
    error = file_zero(fd, at, end);
    /* No more than a hint: whether it is durable, the sync at the end tells. */
    if (error == 0 && end < to && extends_durably(w)) sync_file_range(fd, (off_t)at, (off_t)(end - at), WRITE_AND_WAIT);
  }
  return error;
}

static bool is_full(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

int wal_extend(Wal *w, uint64_t size, const char **syscall) {
  const uint64_t before = w->size;
  SignalGuard guard;
  *syscall = w->file.syscall;
  if (file_error(&w->file) != 0) return file_error(&w->file);
  if (size <= before) return 0;
  hold_signal(&guard);
  int error = fill(w, before, size, syscall);
  if (error != 0) {
    const bool cut = ftruncate(w->file.fd, (off_t)before) == 0;
    if (!cut || !is_full(error)) file_fail(&w->file, error, *syscall);
  }
  release_signal(&guard);
  if (error != 0) return error;
  *syscall = "fdatasync";
  if (extends_durably(w)) error = file_sync(&w->file, false);
  if (error == 0) set_size(w, size);
  return error;
}

int wal_truncate(Wal *w, uint64_t size) {
  const uint64_t wanted = (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
  if (file_error(&w->file) != 0) return file_error(&w->file);
  if (size >= w->size) return 0;
  if (wanted < w->mapped) unmap(w); /* mapped anew when it is needed */
  if (ftruncate(w->file.fd, (off_t)size) != 0) return file_fail(&w->file, errno, "ftruncate");
  set_size(w, size);
  return 0;
}
