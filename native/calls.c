/*
 * The functions of a mapping's JavaScript object, all but unmap(). Each finds its Mapping in the function's own
 * data, checks every argument against the file (INV-NAT-1), and throws when the mapping is closed.
 */
#include "wal.h"

#include <string.h>

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

/* Of a private mapping: what was written to the file is durable there. */
static napi_value fence_now(napi_env env, napi_callback_info info) {
  Mapping *m = hot(env, info);
  if (m == NULL) return NULL;
  if (!m->is_private) {
    fence(m);
    return NULL;
  }
  if (m->fences && file_sync(&m->file, false) != 0) throw_failure(env, &m->file);
  else account_fence(m);
  return NULL;
}

/* --------------------------------------------------------------------------------------- flushing */

/* Writes a range of a private mapping to the file. */
static bool write_range(napi_env env, Mapping *m, uint64_t at, uint64_t bytes) {
  return file_write(&m->file, m->base + at, bytes, at) == 0 || throw_failure(env, &m->file);
}

static napi_value flush(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[2];
  uint64_t at, bytes, last_line = NO_LINE;
  if (!take_arguments(env, info, 2, arguments, &m)) return NULL;
  if (!take_range(env, m, arguments[0], arguments[1], &at, &bytes)) return NULL;
  if (!m->is_private) account_lines(m, flush_range(m, m->base, at, bytes, &last_line));
  else if (write_range(env, m, at, bytes)) account_lines(m, count_range(at, bytes, &last_line));
  return NULL;
}

/* One write for each run of ranges that follow one another. */
static void write_ranges(napi_env env, Mapping *m, const uint32_t *ranges, uint64_t count) {
  uint64_t start = 0, end = 0, lines = 0, last_line = NO_LINE;
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t at = (uint64_t)ranges[2 * i] * GRANULE, bytes = (uint64_t)ranges[2 * i + 1] * GRANULE;
    lines += count_range(at, bytes, &last_line);
    if (at != end) {
      if (!write_range(env, m, start, end - start)) return;
      start = at;
    }
    end = at + bytes;
  }
  if (write_range(env, m, start, end - start)) account_lines(m, lines);
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
  else if (m->is_private) write_ranges(env, m, ranges, count);
  else flush_ranges(m, ranges, count);
  return NULL;
}

static napi_value set_ranges(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[1];
  if (take_arguments(env, info, 1, arguments, &m)) take_ranges(env, arguments[0], &m->ranges);
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
  if (error != 0) throw_errno(env, error, syscall, m->file.path);
  return NULL;
}

static napi_value sync_file(napi_env env, napi_callback_info info) {
  Mapping *m;
  if (take_arguments(env, info, 0, NULL, &m) && file_sync(&m->file, true) != 0) throw_failure(env, &m->file);
  return NULL;
}

static napi_value make_private(napi_env env, napi_callback_info info) {
  Mapping *m;
  if (!take_arguments(env, info, 0, NULL, &m)) return NULL;
  const int error = mapping_make_private(m);
  if (error != 0) throw_errno(env, error, "mmap", m->file.path);
  return NULL;
}

/* --------------------------------------------------------------------------------------- table */

const NativeCall MAPPING_CALLS[] = {
    {"append", append},        {"commit", commit},      {"fence", fence_now},
    {"flush", flush},          {"flushRanges", flush_list}, {"setRanges", set_ranges},
    {"setFlush", set_flush},   {"size", size_of},       {"allocate", allocate},
    {"syncFile", sync_file},   {"makePrivate", make_private}, {"openWal", open_wal},
    {NULL, NULL},
};
