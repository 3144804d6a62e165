/*
 * Shared declarations of the addon. One `Mapping` is one mapped pool; it belongs to the environment (thread)
 * that made it, so nothing here is locked. The only process-wide state are the function pointers and tables
 * that a constructor fills in when the library is loaded, before any environment runs.
 *
 * INV-NAT-1  No native function touches a byte outside [base, base + size): `size` is the file's size, and a
 *            page beyond it is a bus error.
 * INV-NAT-2  Memory is unmapped once, and only when no ArrayBuffer reaches it: detached, collected, or its
 *            environment is ending.
 * INV-NAT-3  A `Mapping` outlives every JavaScript function and buffer that points to it (`users`).
 */
#ifndef PERDURE_H
#define PERDURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define NAPI_VERSION 8
#include <node_api.h>
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
enum { COUNTER_FENCES, COUNTER_LINES };
#define COUNTER_SLOTS 2u

/* Starts writing back `lines` cache lines from `first` on. */
typedef void (*WriteBack)(const uint8_t *first, uint64_t lines);

typedef struct {
  const char *name;
  WriteBack write_back;
} FlushInstruction;

typedef struct {
  /* the mapping: base is NULL once it is unmapped or closed */
  uint8_t *base;
  uint64_t length; /* bytes reserved */
  uint64_t size;   /* bytes of the file: the bound of every access */
  int fd;
  bool open;   /* cleared by unmap(): every later call throws */
  bool hooked; /* the environment's cleanup hook is set */
  uint32_t users;
  char *path;

  /* how stores are made durable */
  WriteBack write_back; /* NULL: lines are not flushed */
  bool stream;          /* records are written with non-temporal stores */
  bool fences;
  uint64_t line_ticks; /* emulated latency, in ticks of read_ticks() */
  uint64_t fence_ticks;

  uint64_t covered; /* bytes of the reservation that the file lies over: whole pages */
  bool copy_on_write;
  bool synchronous; /* MAP_SYNC was accepted */

  /* memory shared with JavaScript; the references keep it alive */
  uint32_t *control;
  double *counters;
  const uint32_t *ranges;
  uint64_t range_words;
  napi_ref control_ref;
  napi_ref counters_ref;
  napi_ref ranges_ref;
  napi_ref buffer_ref; /* weak */
} Mapping;

/* crc32c.c */
/* Continues a CRC-32C: update(update(0, a), b) == update(0, ab); update(0, "123456789") == 0xE3069283. */
extern uint32_t (*crc32c_update)(uint32_t crc, const void *bytes, size_t length);
bool crc32c_is_hardware(void);

/* flush.c */
/* The flush instructions of this processor, the best first, ended by an entry without a name. */
const FlushInstruction *flush_instructions(void);
/* Flushes the lines of [at, at + bytes) unless the first is `*last_line`; sets `*last_line`, returns their number. */
uint64_t flush_range(Mapping *m, uint64_t at, uint64_t bytes, uint64_t *last_line);
#define NO_LINE UINT64_MAX
/* Counts `lines` and waits for the emulated latency. */
void account_lines(Mapping *m, uint64_t lines);
/* Fence, count, emulated latency. */
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

/* mapping.c: system calls; each returns 0 or an errno and then names the call in `*syscall`. */
typedef struct {
  uint64_t size;
  uint64_t allocated;
  bool synchronous; /* MAP_SYNC was accepted */
} MapResult;
/* Not an errno: the path names something else than a regular file. */
#define NOT_REGULAR 100000
enum { MAP_CREATE = 1, MAP_COPY_ON_WRITE = 2 };
int mapping_open(Mapping *m, uint32_t flags, MapResult *result, const char **syscall);
/* Unmaps and closes. Idempotent. */
void mapping_release(Mapping *m, bool unmap);
/* Allocates blocks for [from, to) and makes the file at least `to` long; new bytes are zero. */
int mapping_allocate(Mapping *m, uint64_t from, uint64_t to, const char **syscall);
int mapping_truncate(Mapping *m, uint64_t size);
const char *errno_name(int error);

/* arguments.c: each returns false with an exception pending. */
bool throw_errno(napi_env env, int error, const char *syscall, const char *path);
bool take_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values, Mapping **m);
bool take_integer(napi_env env, napi_value value, const char *name, uint64_t max, uint64_t *out);
/* An offset and a length within the file. */
bool take_range(napi_env env, const Mapping *m, napi_value at, napi_value bytes, uint64_t *at_out, uint64_t *bytes_out);
bool take_array(napi_env env, napi_value value, napi_typedarray_type type, const char *name, void **data, size_t *length);
/* The caller frees `*out`. */
bool take_path(napi_env env, napi_value value, char **out);
bool take_word(napi_env env, napi_value value, const char *name, char *out, size_t capacity);
bool take_boolean(napi_env env, napi_value value, const char *name, bool *out);

/* calls.c: the functions of a mapping's object, ended by an entry without a name. */
typedef struct {
  const char *name;
  napi_callback call;
} MappingCall;
extern const MappingCall MAPPING_CALLS[];

/* object.c: the JavaScript object over a mapping. */
napi_value map_file(napi_env env, napi_callback_info info);

#endif
