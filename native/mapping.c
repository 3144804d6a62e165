/*
 * The system calls on a pool's file: lock, map, allocate, release. Knows nothing of JavaScript; a failed
 * call is an errno and a name. After a failure everything opened on the way is closed again.
 */
#include "wal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

void *map_shared(const File *file, void *place, uint64_t from, uint64_t to, bool synchronous) {
  const int flags = synchronous ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
  const int fixed = place == NULL ? 0 : MAP_FIXED;
  return mmap(place, to - from, PROT_READ | PROT_WRITE, flags | fixed | MAP_NORESERVE, file->fd, (off_t)from);
}

static int cover_shared(Mapping *m, uint64_t to, bool synchronous) {
  return map_shared(&m->file, m->base + m->covered, m->covered, to, synchronous) == MAP_FAILED ? errno : 0;
}

static int cover_private(Mapping *m, uint64_t from, uint64_t to) {
  const int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
  if (from == to) return 0;
  void *mapped = mmap(m->base + from, to - from, PROT_READ | PROT_WRITE, flags, m->file.fd, (off_t)from);
  return mapped == MAP_FAILED ? errno : 0;
}

/* Lays the file over the reservation up to `bytes`. What is mapped stays where it is. */
static int cover(Mapping *m, uint64_t bytes) {
  const uint64_t to = page_up(bytes < m->length ? bytes : m->length);
  int error;
  if (to <= m->covered) return 0;
  if (m->is_private) {
    error = cover_private(m, m->covered, to);
  } else {
    error = cover_shared(m, to, true);
    /* A file is synchronous as a whole or not at all. */
    if (error == 0) m->synchronous = true;
    else if (!m->synchronous) error = cover_shared(m, to, false);
  }
  if (error == 0) m->covered = to;
  return error;
}

int mapping_make_private(Mapping *m) {
  const int error = cover_private(m, 0, m->covered);
  if (error == 0) m->is_private = true;
  return error;
}

static int map_descriptor(Mapping *m, MapResult *result) {
  int error = reserve(m);
  /* At least a page, so that a new and empty file shows whether it can be synchronous. */
  if (error == 0) error = cover(m, m->size > 0 ? m->size : 1);
  result->synchronous = m->synchronous;
  return error;
}

static int open_steps(Mapping *m, uint32_t flags, MapResult *result, const char **syscall) {
  struct stat info;
  const int error = file_open(&m->file, flags & MAP_CREATE ? O_CREAT | O_EXCL : 0, 0666, syscall);
  if (error != 0) return error;
  *syscall = "flock"; /* belongs to this open file: a second opening in the same process is refused too */
  if (flock(m->file.fd, LOCK_EX | LOCK_NB) != 0) return errno;
  *syscall = "fstat"; /* the size counts from when the lock is held */
  if (fstat(m->file.fd, &info) != 0) return errno;
  m->size = (uint64_t)info.st_size < m->length ? (uint64_t)info.st_size : m->length;
  result->size = (uint64_t)info.st_size;
  result->allocated = (uint64_t)info.st_blocks * 512;
  *syscall = "mmap";
  return map_descriptor(m, result);
}

int mapping_open(Mapping *m, uint32_t flags, MapResult *result, const char **syscall) {
  memset(result, 0, sizeof *result);
  const int error = open_steps(m, flags, result, syscall);
  if (error == 0) {
    m->open = true;
    return 0;
  }
  const bool created = m->file.fd >= 0 && (flags & MAP_CREATE) != 0;
  mapping_release(m, true);
  if (created) unlink(m->file.path); /* O_EXCL: it is ours */
  return error;
}

void mapping_release(Mapping *m, bool unmap) {
  if (m->wal != NULL) wal_close(m->wal); /* its threads write to the file */
  m->open = false;
  m->size = 0;
  if (unmap && m->base != NULL) {
    munmap(m->base, m->length);
    m->base = NULL;
    m->covered = 0;
  }
  if (m->file.fd >= 0) flock(m->file.fd, LOCK_UN); /* a child between fork and exec may still share the open file */
  file_close(&m->file);
}

/* --------------------------------------------------------------------------------------- size */

static int allocate(Mapping *m, uint64_t from, uint64_t to, const char **syscall) {
  int result;
  *syscall = "fallocate";
  do result = fallocate(m->file.fd, 0, (off_t)from, (off_t)(to - from));
  while (result != 0 && errno == EINTR);
  if (result == 0) return 0;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
  *syscall = "pwrite";
  return file_zero(m->file.fd, from > m->size ? from : m->size, to); /* only ever beyond the end of the file */
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
  if (to > m->size && ftruncate(m->file.fd, (off_t)m->size) != 0) {
    *syscall = "ftruncate";
    return errno;
  }
  return error;
}
