/*
 * The functions of a mapping's JavaScript object, all but unmap(). Each finds its Mapping in the function's own
 * data, checks every argument against the file (INV-NAT-1), and throws when the mapping is closed.
 */
#include "perdure.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --------------------------------------------------------------------------------------- hot path */

static Mapping *hot(napi_env env, napi_callback_info info) {
  void *data = NULL;
  napi_get_cb_info(env, info, NULL, NULL, NULL, &data);
  Mapping *m = data;
  if (m->open) return m;
  napi_throw_error(env, "CLOSED", "the mapping is closed");
  return NULL;
}

static napi_value append(napi_env env, napi_callback_info info) {
  Mapping *m = hot(env, info);
  const char *problem = m == NULL ? NULL : record_append(m);
  if (problem != NULL) napi_throw_range_error(env, NULL, problem);
  return NULL;
}

static napi_value commit(napi_env env, napi_callback_info info) {
  Mapping *m = hot(env, info);
  const char *problem = m == NULL ? NULL : record_commit(m);
  if (problem != NULL) napi_throw_range_error(env, NULL, problem);
  return NULL;
}

static napi_value fence_now(napi_env env, napi_callback_info info) {
  Mapping *m = hot(env, info);
  if (m != NULL) fence(m);
  return NULL;
}

/* --------------------------------------------------------------------------------------- flushing */

static napi_value flush(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[2];
  uint64_t at, bytes, last_line = NO_LINE;
  if (!take_arguments(env, info, 2, arguments, &m)) return NULL;
  if (!take_range(env, m, arguments[0], arguments[1], &at, &bytes)) return NULL;
  account_lines(m, flush_range(m, at, bytes, &last_line));
  return NULL;
}

static napi_value flush_list(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[2];
  void *ranges;
  size_t words;
  uint64_t count;
  if (!take_arguments(env, info, 2, arguments, &m)) return NULL;
  if (!take_array(env, arguments[0], napi_uint32_array, "ranges", &ranges, &words)) return NULL;
  if (!take_integer(env, arguments[1], "count", words / 2, &count)) return NULL;
  const char *problem = check_ranges(m, ranges, words, count);
  if (problem != NULL) napi_throw_range_error(env, NULL, problem);
  else flush_ranges(m, ranges, count);
  return NULL;
}

/* Flushes the first `count` registered ranges and fences: one call. */
static napi_value persist(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[1];
  uint64_t count;
  if (!take_arguments(env, info, 1, arguments, &m)) return NULL;
  if (!take_integer(env, arguments[0], "count", m->range_words / 2, &count)) return NULL;
  const char *problem = check_ranges(m, m->ranges, m->range_words, count);
  if (problem != NULL) {
    napi_throw_range_error(env, NULL, problem);
    return NULL;
  }
  flush_ranges(m, m->ranges, count);
  fence(m);
  return NULL;
}

/* Copies bytes into the mapping with non-temporal stores where it can, and fences. */
static napi_value copy(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[2];
  uint64_t at, last_line = NO_LINE;
  void *source;
  size_t bytes;
  if (!take_arguments(env, info, 2, arguments, &m)) return NULL;
  if (!take_integer(env, arguments[0], "offset", m->size, &at)) return NULL;
  if (!take_array(env, arguments[1], napi_uint8_array, "source", &source, &bytes)) return NULL;
  if (bytes > m->size - at) {
    napi_throw_range_error(env, NULL, "copy: the target does not lie within the file");
    return NULL;
  }
  if (m->stream && at % LINE == 0 && bytes % LINE == 0) {
    put_granules(m, m->base + at, source, bytes / GRANULE);
    account_lines(m, bytes / LINE);
  } else {
    memmove(m->base + at, source, bytes);
    account_lines(m, flush_range(m, at, bytes, &last_line));
  }
  fence(m);
  return NULL;
}

static napi_value set_ranges(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[1];
  napi_ref reference;
  void *ranges;
  size_t words;
  if (!take_arguments(env, info, 1, arguments, &m)) return NULL;
  if (!take_array(env, arguments[0], napi_uint32_array, "ranges", &ranges, &words)) return NULL;
  if (napi_create_reference(env, arguments[0], 1, &reference) != napi_ok) {
    napi_throw_error(env, NULL, "cannot register the ranges");
    return NULL;
  }
  if (m->ranges_ref != NULL) napi_delete_reference(env, m->ranges_ref);
  m->ranges_ref = reference;
  m->ranges = ranges;
  m->range_words = words;
  return NULL;
}

/* setFlush(instruction | 'none', stream, fences, lineNs, fenceNs) */
static napi_value set_flush(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[5];
  char name[16];
  bool stream, fences;
  uint64_t line_ns, fence_ns;
  if (!take_arguments(env, info, 5, arguments, &m)) return NULL;
  if (!take_word(env, arguments[0], "instruction", name, sizeof name)) return NULL;
  if (!take_boolean(env, arguments[1], "stream", &stream)) return NULL;
  if (!take_boolean(env, arguments[2], "fences", &fences)) return NULL;
  if (!take_integer(env, arguments[3], "lineNs", 1000000000, &line_ns)) return NULL;
  if (!take_integer(env, arguments[4], "fenceNs", 1000000000, &fence_ns)) return NULL;
  WriteBack write_back = NULL;
  if (strcmp(name, "none") != 0) {
    for (const FlushInstruction *i = flush_instructions(); i->name != NULL; i++) {
      if (strcmp(name, i->name) == 0) write_back = i->write_back;
    }
    if (write_back == NULL) {
      napi_throw_range_error(env, NULL, "setFlush: this processor has no such flush instruction");
      return NULL;
    }
  }
#if !defined(__x86_64__)
  stream = false;
#endif
  m->write_back = write_back;
  m->stream = stream && write_back != NULL;
  m->fences = fences;
  m->line_ticks = ticks_of((double)line_ns);
  m->fence_ticks = ticks_of((double)fence_ns);
  return NULL;
}

/* --------------------------------------------------------------------------------------- system calls */

static napi_value size_of(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value result;
  if (!take_arguments(env, info, 0, NULL, &m)) return NULL;
  return napi_create_double(env, (double)m->size, &result) == napi_ok ? result : NULL;
}

static napi_value allocate(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[2];
  uint64_t from, to;
  const char *syscall = "";
  if (!take_arguments(env, info, 2, arguments, &m)) return NULL;
  if (!take_integer(env, arguments[1], "to", m->length, &to)) return NULL;
  if (!take_integer(env, arguments[0], "from", to < m->size ? to : m->size, &from)) return NULL;
  const int error = mapping_allocate(m, from, to, &syscall);
  if (error != 0) throw_errno(env, error, syscall, m->path);
  return NULL;
}

static napi_value truncate_to(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[1];
  uint64_t size;
  if (!take_arguments(env, info, 1, arguments, &m)) return NULL;
  if (!take_integer(env, arguments[0], "size", m->length, &size)) return NULL;
  const int error = mapping_truncate(m, size);
  if (error != 0) throw_errno(env, error, "ftruncate", m->path);
  return NULL;
}

static napi_value sync_pages(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[2];
  uint64_t at, bytes;
  if (!take_arguments(env, info, 2, arguments, &m)) return NULL;
  if (!take_range(env, m, arguments[0], arguments[1], &at, &bytes)) return NULL;
  const uint64_t start = at & ~(uint64_t)(PAGE - 1);
  if (bytes != 0 && msync(m->base + start, at + bytes - start, MS_SYNC) != 0) throw_errno(env, errno, "msync", m->path);
  return NULL;
}

/* syncFile(dataOnly) */
static napi_value sync_file(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[1];
  bool data_only;
  if (!take_arguments(env, info, 1, arguments, &m)) return NULL;
  if (!take_boolean(env, arguments[0], "dataOnly", &data_only)) return NULL;
  const int result = data_only ? fdatasync(m->fd) : fsync(m->fd);
  if (result != 0) throw_errno(env, errno, data_only ? "fdatasync" : "fsync", m->path);
  return NULL;
}

static napi_value advise(napi_env env, napi_callback_info info) {
  static const struct {
    const char *name;
    int advice;
  } ADVICE[] = {{"normal", MADV_NORMAL},     {"random", MADV_RANDOM},     {"sequential", MADV_SEQUENTIAL},
                {"willneed", MADV_WILLNEED}, {"dontneed", MADV_DONTNEED}, {"hugepage", MADV_HUGEPAGE}};
  Mapping *m;
  napi_value arguments[3];
  uint64_t at, bytes;
  char name[16];
  if (!take_arguments(env, info, 3, arguments, &m)) return NULL;
  if (!take_range(env, m, arguments[0], arguments[1], &at, &bytes)) return NULL;
  if (!take_word(env, arguments[2], "advice", name, sizeof name)) return NULL;
  if (at % PAGE != 0 || bytes % PAGE != 0) {
    napi_throw_range_error(env, NULL, "advise: offset and length must be multiples of 4096");
    return NULL;
  }
  for (size_t i = 0; i < sizeof ADVICE / sizeof *ADVICE; i++) {
    if (strcmp(name, ADVICE[i].name) != 0) continue;
    if (bytes != 0 && madvise(m->base + at, bytes, ADVICE[i].advice) != 0) throw_errno(env, errno, "madvise", m->path);
    return NULL;
  }
  napi_throw_range_error(env, NULL, "advise: unknown advice");
  return NULL;
}

/* --------------------------------------------------------------------------------------- table */

const MappingCall MAPPING_CALLS[] = {
    {"append", append},       {"commit", commit},    {"fence", fence_now},      {"flush", flush},
    {"flushRanges", flush_list}, {"persist", persist}, {"copy", copy},          {"setRanges", set_ranges},
    {"setFlush", set_flush},  {"size", size_of},     {"allocate", allocate},    {"truncate", truncate_to},
    {"msync", sync_pages},    {"syncFile", sync_file}, {"advise", advise},      {NULL, NULL},
};
