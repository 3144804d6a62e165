/*
 * Shared declarations of the addon. One `Mapping` is one mapped pool; it belongs to the environment (thread)
 * that made it, so nothing but its file is shared with other threads: those of the redo log (wal.h). The only
 * process-wide state are the function pointers and tables that a constructor fills in when the library is loaded,
 * before any environment runs.
 *
 * INV-NAT-1  No native function touches a byte outside [base, base + size): `size` is the file's size, and a
 *            page beyond it is a bus error.
 * INV-NAT-2  Memory is unmapped once, and only when no ArrayBuffer reaches it: detached, collected, or its
 *            environment is ending.
 * INV-NAT-3  A `Mapping` outlives every JavaScript function and buffer that points to it (`users`).
 * INV-NAT-4  A failed write or sync of a file is final: every later one fails with the same error, whichever thread
 *            it was that met it. (The kernel reports a lost write once, to one of those who ask.)
 */
#ifndef PERDURE_H
#define PERDURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define NAPI_VERSION 8
#include <node_api.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE 64u
#define GRANULE 16u
#define PAGE 4096u

/* Words of the control block; the same as CONTROL in src/memory/memory.ts. */
enum { CONTROL_CHAIN, CONTROL_TXN, CONTROL_AT, CONTROL_SOURCE, CONTROL_GRANULES, CONTROL_RANGE_COUNT, CONTROL_CHECKED,
       CONTROL_EPOCH };
#define CONTROL_WORDS 8u

/* Slots of the counter block. */
enum { COUNTER_FENCES, COUNTER_LINES, COUNTER_SYNCS };
#define COUNTER_SLOTS 3u

/* Starts writing back `lines` cache lines from `first` on. */
typedef void (*WriteBack)(const uint8_t *first, uint64_t lines);

typedef struct {
  const char *name;
  WriteBack write_back;
} FlushInstruction;

/* An open file. Any thread may write and sync it. */
typedef struct {
  int fd; /* -1: closed */
  char *path;
  pthread_mutex_t syncing; /* one sync at a time */
  int error;               /* errno of the first failure, or 0; set last */
  const char *syscall;     /* what failed */
  double *flag;            /* becomes 1 with `error`, for JavaScript to see; may be NULL */
} File;

/* (ref, granules) pairs that JavaScript has registered; the reference keeps them alive. */
typedef struct {
  uint32_t *words;
  uint64_t length;
  napi_ref reference;
} RangeList;

struct Wal;

typedef struct Mapping {
  /* the mapping: base is NULL once it is unmapped or closed */
  uint8_t *base;
  uint64_t length; /* bytes reserved */
  uint64_t size;   /* bytes of the file: the bound of every access */
  File file;
  bool open;   /* cleared by unmap(): every later call throws */
  bool hooked; /* the environment's cleanup hook is set */
  uint32_t users;
  struct Wal *wal; /* the open write-ahead log, or NULL */

  /* how stores are made durable */
  WriteBack write_back; /* NULL: lines are not flushed */
  bool stream;          /* records are written with non-temporal stores */
  bool fences;
  uint64_t line_ticks; /* emulated latency, in ticks of read_ticks() */
  uint64_t fence_ticks;

  uint64_t covered; /* bytes of the reservation that the file lies over: whole pages */
  bool is_private;  /* stores stay in the process; flushing writes to the file */
  bool synchronous; /* MAP_SYNC was accepted */

  /* memory shared with JavaScript; the references keep it alive */
  uint32_t *control;
  double *counters;
  RangeList ranges;
  napi_ref control_ref;
  napi_ref counters_ref;
  napi_ref buffer_ref; /* weak */
} Mapping;

/* crc32c.c */
/* Continues a CRC-32C: update(update(0, a), b) == update(0, ab); update(0, "123456789") == 0xE3069283. */
extern uint32_t (*crc32c_update)(uint32_t crc, const void *bytes, size_t length);

/* flush.c */
/* The flush instructions of this processor, the best first, ended by an entry without a name. */
const FlushInstruction *flush_instructions(void);
/*
 * Flushes the lines of [at, at + bytes) of memory mapped at `base` unless the first is `*last_line`; sets `*last_line`,
 * returns their number.
 */
uint64_t flush_range(const Mapping *m, const uint8_t *base, uint64_t at, uint64_t bytes, uint64_t *last_line);
/* The same without flushing. */
uint64_t count_range(uint64_t at, uint64_t bytes, uint64_t *last_line);
#define NO_LINE UINT64_MAX
/* Counts `lines` and waits for the emulated latency. */
void account_lines(Mapping *m, uint64_t lines);
/* Counts a fence and waits for the emulated latency. */
void account_fence(Mapping *m);
/* Orders what was flushed and streamed before whatever follows; counts as a fence. */
void fence(Mapping *m);
/* Copies whole granules to a granule boundary: non-temporal when `stream` is set. */
void put_granules(const Mapping *m, uint8_t *to, const uint8_t *from, uint64_t granules);
/* Fills whole granules with zeros, in the same way. */
void put_zeros(const Mapping *m, uint8_t *to, uint64_t granules);
/* Ticks that pass in `ns` nanoseconds; the first call takes about 2 ms. */
uint64_t ticks_of(double ns);

/* record.c: each returns NULL, or what is out of range (nothing was written then). */
const char *record_append(Mapping *m);
const char *record_commit(Mapping *m);
/* Checks `count` (ref, granules) pairs against the file. */
const char *check_ranges(const Mapping *m, const uint32_t *ranges, uint64_t words, uint64_t count);
/* Flushes `count` checked pairs; returns the number of lines. */
uint64_t flush_ranges(Mapping *m, const uint32_t *ranges, uint64_t count);
/* Whether [ref, ref + granules) lies within the file. */
bool inside(const Mapping *m, uint32_t ref, uint64_t granules);

/* file.c: each returns 0 or an errno. */
void file_init(File *file, char *path);
/* Opens for reading and writing; a regular file only. @param flags further flags of open(2) */
int file_open(File *file, int flags, uint32_t mode, const char **syscall);
void file_close(File *file);
/* Frees what file_init took. */
void file_free(File *file);
/* The error that made the file fail, or 0. */
int file_error(const File *file);
/* Notes a failure (INV-NAT-4); the first one counts. Returns `error`. */
int file_fail(File *file, int error, const char *syscall);
int file_write(File *file, const void *bytes, uint64_t length, uint64_t at);
/* Makes durable what was written; with `metadata` whatever is known of the file besides. */
int file_sync(File *file, bool metadata);
/* Syncs the data of a file that the caller has locked. */
int file_sync_locked(File *file);
/* Writes zeros, which allocates blocks on any file system; not final when it fails. */
int file_zero(int fd, uint64_t from, uint64_t to);
/* A file size limit (ulimit -f) raises SIGXFSZ, which would kill the process: held back, it is only EFBIG. */
typedef struct {
  sigset_t limit, before, pending;
} SignalGuard;
void hold_signal(SignalGuard *guard);
void release_signal(SignalGuard *guard);
const char *errno_name(int error);

/* mapping.c: system calls; each returns 0 or an errno and then names the call in `*syscall`. */
typedef struct {
  uint64_t size;
  uint64_t allocated;
  bool synchronous; /* MAP_SYNC was accepted */
} MapResult;
/* Not an errno: the path names something else than a regular file. */
#define NOT_REGULAR 100000
enum { MAP_CREATE = 1 };
int mapping_open(Mapping *m, uint32_t flags, MapResult *result, const char **syscall);
/* Unmaps and closes. Idempotent. */
void mapping_release(Mapping *m, bool unmap);
/* Allocates blocks for [from, to) and makes the file at least `to` long; new bytes are zero. */
int mapping_allocate(Mapping *m, uint64_t from, uint64_t to, const char **syscall);
/* Replaces the mapping by a private one, which sees the file until it is stored to. */
int mapping_make_private(Mapping *m);
/* Maps [from, to) of a file: anywhere, or at `place`. Returns MAP_FAILED with errno set. */
void *map_shared(const File *file, void *place, uint64_t from, uint64_t to, bool synchronous);

/* arguments.c: each returns false with an exception pending. */
bool throw_errno(napi_env env, int error, const char *syscall, const char *path);
/* Throws the error that made a file fail. */
bool throw_failure(napi_env env, const File *file);
/* An error with the same properties, as a value. */
bool make_failure(napi_env env, int error, const char *syscall, const char *path, napi_value *out);
/* Arguments, and what the function was made with. */
bool take_values(napi_env env, napi_callback_info info, size_t count, napi_value *values, void **data);
/* The same for a function of a mapping that must be open. */
bool take_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values, Mapping **m);
bool take_integer(napi_env env, napi_value value, const char *name, uint64_t max, uint64_t *out);
/* An offset and a length within the file. */
bool take_range(napi_env env, const Mapping *m, napi_value at, napi_value bytes, uint64_t *at_out, uint64_t *bytes_out);
bool take_array(napi_env env, napi_value value, napi_typedarray_type type, const char *name, void **data, size_t *length);
/* The caller frees `*out`. */
bool take_path(napi_env env, napi_value value, char **out);
bool take_word(napi_env env, napi_value value, const char *name, char *out, size_t capacity);
bool take_boolean(napi_env env, napi_value value, const char *name, bool *out);
/* Registers ranges in place of those before. */
bool take_ranges(napi_env env, napi_value value, RangeList *list);
void drop_reference(napi_env env, napi_ref *reference);

/* The functions of a JavaScript object, ended by an entry without a name. */
typedef struct {
  const char *name;
  napi_callback call;
} NativeCall;
extern const NativeCall MAPPING_CALLS[]; /* calls.c */

/* object.c: the JavaScript object over a mapping. */
napi_value map_file(napi_env env, napi_callback_info info);
/* Defines functions that carry `data`; `gone` is called when one is collected, and `*users` counts them. */
bool set_functions(napi_env env, napi_value object, const NativeCall *calls, void *data, napi_finalize gone,
                   uint32_t *users);
/* An array shared with JavaScript and kept alive by a reference. */
bool share_array(napi_env env, napi_value object, const char *name, napi_typedarray_type type, size_t length,
                 size_t bytes, void **data, napi_ref *reference);
/* Gives up one of `users`. */
void mapping_drop_user(napi_env env, Mapping *m);

#endif
