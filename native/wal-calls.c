/*
 * The functions of a log's JavaScript object. Each finds its Wal in the function's own data, checks every argument
 * against pool and log (INV-NAT-1), and throws when the log is closed or has failed.
 */
#include "wal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* --------------------------------------------------------------------------------------- arguments */

static bool take(napi_env env, napi_callback_info info, size_t count, napi_value *values, Wal **w) {
  void *data = NULL;
  if (!take_values(env, info, count, values, &data)) return false;
  *w = data;
  if ((*w)->open) return true;
  napi_throw_error(env, "CLOSED", "the write-ahead log is closed");
  return false;
}

/* For calls that change something. */
static bool take_healthy(napi_env env, napi_callback_info info, size_t count, napi_value *values, Wal **w) {
  if (!take(env, info, count, values, w)) return false;
  const File *failed = wal_failed(*w);
  return failed == NULL || throw_failure(env, failed);
}

/* For calls during which no job may run. */
static bool take_idle(napi_env env, napi_callback_info info, size_t count, napi_value *values, Wal **w) {
  if (!take_healthy(env, info, count, values, w)) return false;
  if (!wal_busy(*w)) return true;
  napi_throw_error(env, "BUSY", "a job of the write-ahead log is running");
  return false;
}

/* A place in the log and bytes that fit there. */
static bool take_part(napi_env env, const Wal *w, napi_value at, napi_value bytes, uint64_t *at_out, void **data,
                      size_t *length) {
  const uint64_t size = __atomic_load_n(&w->size, __ATOMIC_ACQUIRE);
  if (!take_integer(env, at, "offset", size, at_out)) return false;
  if (!take_array(env, bytes, napi_uint8_array, "bytes", data, length)) return false;
  if (*length <= size - *at_out) return true;
  napi_throw_range_error(env, NULL, "the bytes do not lie within the log");
  return false;
}

static void report(napi_env env, const Wal *w, int error, const char *syscall) {
  const File *failed = wal_failed(w);
  if (error == 0) return;
  if (failed != NULL) throw_failure(env, failed);
  else throw_errno(env, error, syscall, w->file.path);
}

/* --------------------------------------------------------------------------------------- records */

static napi_value append(napi_env env, napi_callback_info info) {
  void *data = NULL;
  int error = 0;
  napi_get_cb_info(env, info, NULL, NULL, NULL, &data);
  Wal *w = data;
  if (!w->open) {
    napi_throw_error(env, "CLOSED", "the write-ahead log is closed");
    return NULL;
  }
  const char *problem = wal_append(w, &error);
  if (problem != NULL) napi_throw_range_error(env, NULL, problem);
  else report(env, w, error, "mmap");
  return NULL;
}

static napi_value set_ranges(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[1];
  if (take(env, info, 1, arguments, &w)) take_ranges(env, arguments[0], &w->ranges);
  return NULL;
}

/* --------------------------------------------------------------------------------------- file */

/* What lies behind the end of the file reads as zeros. */
static napi_value read_at(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[2];
  uint64_t at;
  void *target;
  size_t length;
  if (!take(env, info, 2, arguments, &w)) return NULL;
  if (!take_integer(env, arguments[0], "offset", (uint64_t)1 << 52, &at)) return NULL;
  if (!take_array(env, arguments[1], napi_uint8_array, "target", &target, &length)) return NULL;
  report(env, w, wal_read(w, at, target, length), "pread");
  return NULL;
}

static napi_value write_at(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[2];
  uint64_t at;
  void *bytes;
  size_t length;
  if (!take_healthy(env, info, 2, arguments, &w)) return NULL;
  if (!take_part(env, w, arguments[0], arguments[1], &at, &bytes, &length)) return NULL;
  report(env, w, wal_write(w, at, bytes, length), "mmap");
  return NULL;
}

static napi_value extend(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[1];
  uint64_t size;
  const char *syscall = "";
  if (!take_idle(env, info, 1, arguments, &w)) return NULL;
  if (!take_integer(env, arguments[0], "size", MAX_WAL_BYTES, &size)) return NULL;
  const int error = wal_extend(w, size, &syscall);
  report(env, w, error, syscall);
  return NULL;
}

static napi_value truncate_to(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[1];
  uint64_t size;
  if (!take_idle(env, info, 1, arguments, &w)) return NULL;
  if (!take_integer(env, arguments[0], "size", MAX_WAL_BYTES, &size)) return NULL;
  report(env, w, wal_truncate(w, size), "ftruncate");
  return NULL;
}

/* --------------------------------------------------------------------------------------- syncs */

static napi_value sync_now(napi_env env, napi_callback_info info) {
  Wal *w;
  if (!take_healthy(env, info, 0, NULL, &w)) return NULL;
  if (w->synchronous) {
    fence(w->m);
    if (__atomic_load_n(&w->written, __ATOMIC_ACQUIRE) == __atomic_load_n(&w->synced, __ATOMIC_ACQUIRE)) return NULL;
  }
  const uint64_t completed = __atomic_load_n(&w->completed, __ATOMIC_ACQUIRE);
  const int error = wal_sync(w);
  if (completed != __atomic_load_n(&w->completed, __ATOMIC_ACQUIRE)) wal_notify(w);
  report(env, w, error, "fdatasync");
  if (error == 0 && !w->synchronous) account_fence(w->m);
  return NULL;
}

static bool background(napi_env env, Wal *w) {
  bool pending = false;
  if (ensure_progress(env, w)) return true;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, NULL, "this Node cannot be called from another thread");
  return false;
}

static napi_value request_sync(napi_env env, napi_callback_info info) {
  Wal *w;
  uint64_t ticket = 0;
  napi_value result;
  if (!take_healthy(env, info, 0, NULL, &w)) return NULL;
  if (!w->synchronous) {
    if (!background(env, w)) return NULL;
    const int error = wal_request_sync(w, &ticket);
    report(env, w, error, "pthread_create");
    if (error != 0) return NULL;
  }
  return napi_create_double(env, (double)ticket, &result) == napi_ok ? result : NULL;
}

/* syncEvery(ms) */
static napi_value sync_every(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[1];
  uint64_t ms;
  if (!take_healthy(env, info, 1, arguments, &w)) return NULL;
  if (!take_integer(env, arguments[0], "ms", INT32_MAX, &ms)) return NULL;
  if (!w->synchronous && background(env, w)) report(env, w, wal_set_interval(w, ms * 1000000), "pthread_create");
  return NULL;
}

/* --------------------------------------------------------------------------------------- jobs */

static void start(napi_env env, Wal *w, JobKind kind) {
  if (!background(env, w)) return;
  w->job.kind = kind;
  report(env, w, wal_start_job(w), "pthread_create");
}

/* Room for copies; it is kept until the log is closed. */
static bool reserve(napi_env env, Job *job, uint64_t bytes, uint64_t runs) {
  if (bytes > job->capacity) {
    free(job->staging);
    job->staging = malloc(bytes);
    job->capacity = job->staging == NULL ? 0 : bytes;
  }
  if (runs > job->run_capacity) {
    free(job->runs);
    job->runs = malloc(runs * sizeof *job->runs);
    job->run_capacity = job->runs == NULL ? 0 : runs;
  }
  if (bytes <= job->capacity && runs <= job->run_capacity) return true;
  napi_throw_error(env, "ENOMEM", "out of memory");
  return false;
}

/* Numbers of pages of the pool's file, ascending. */
static bool take_pages(napi_env env, const Wal *w, const napi_value *arguments, const uint32_t **pages,
                       uint64_t *count) {
  void *data;
  size_t length;
  if (!take_array(env, arguments[0], napi_uint32_array, "pages", &data, &length)) return false;
  if (!take_integer(env, arguments[1], "count", length, count)) return false;
  *pages = data;
  for (uint64_t i = 0; i < *count; i++) {
    const bool ascending = i == 0 || (*pages)[i] > (*pages)[i - 1];
    if (ascending && (uint64_t)(*pages)[i] * PAGE < w->m->size) continue;
    napi_throw_range_error(env, NULL, ascending ? "a page lies outside the pool's file" : "the pages must be ascending");
    return false;
  }
  return true;
}

/* Takes the run of neighbouring pages that starts with `*index`, and advances it. */
static Run next_run(const Wal *w, const uint32_t *pages, uint64_t count, uint64_t *index) {
  const uint64_t first = (*index)++;
  while (*index < count && pages[*index] == pages[*index - 1] + 1) ++*index;
  const uint64_t at = (uint64_t)pages[first] * PAGE, bytes = (*index - first) * PAGE;
  return (Run){at, at + bytes <= w->m->size ? bytes : w->m->size - at};
}

static napi_value start_write(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[2];
  const uint32_t *pages;
  uint64_t count;
  if (!take_idle(env, info, 2, arguments, &w)) return NULL;
  if (!take_pages(env, w, arguments, &pages, &count)) return NULL;
  if (!reserve(env, &w->job, count * PAGE, count)) return NULL;
  uint8_t *to = w->job.staging;
  w->job.run_count = 0;
  for (uint64_t i = 0; i < count;) {
    const Run run = next_run(w, pages, count, &i);
    memcpy(to, w->m->base + run.at, run.bytes);
    to += run.bytes;
    w->job.runs[w->job.run_count++] = run;
  }
  start(env, w, JOB_WRITE);
  return NULL;
}

static napi_value start_complete(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[2];
  void *header;
  size_t length;
  if (!take_idle(env, info, 2, arguments, &w)) return NULL;
  if (!take_part(env, w, arguments[0], arguments[1], &w->job.at, &header, &length)) return NULL;
  if (!reserve(env, &w->job, length, 0)) return NULL;
  if (length > 0) memcpy(w->job.staging, header, length);
  w->job.bytes = length;
  start(env, w, JOB_COMPLETE);
  return NULL;
}

static napi_value start_extend(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[1];
  if (!take_idle(env, info, 1, arguments, &w)) return NULL;
  if (take_integer(env, arguments[0], "size", MAX_WAL_BYTES, &w->job.size)) start(env, w, JOB_EXTEND);
  return NULL;
}

/* Waits until no job is running; throws what made the last one fail, once. */
static napi_value finish(napi_env env, napi_callback_info info) {
  Wal *w;
  if (!take(env, info, 0, NULL, &w)) return NULL;
  wal_wait(w);
  const int error = w->job_error;
  w->job_error = 0;
  if (error != 0) throw_errno(env, error, w->job_syscall, w->job_file->path);
  return NULL;
}

static napi_value give_back(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[2];
  const uint32_t *pages;
  uint64_t count;
  if (!take(env, info, 2, arguments, &w)) return NULL;
  if (!take_pages(env, w, arguments, &pages, &count)) return NULL;
  for (uint64_t i = 0; i < count;) {
    const Run run = next_run(w, pages, count, &i);
    if (madvise(w->m->base + run.at, run.bytes, MADV_DONTNEED) == 0) continue;
    throw_errno(env, errno, "madvise", w->m->file.path);
    break;
  }
  return NULL;
}

/* --------------------------------------------------------------------------------------- the whole */

static napi_value keep_alive_when(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value arguments[1];
  bool wanted;
  if (take(env, info, 1, arguments, &w) && take_boolean(env, arguments[0], "wanted", &wanted)) keep_alive(env, w, wanted);
  return NULL;
}

/* The error that made the log or the pool's file fail, or null. */
static napi_value failure(napi_env env, napi_callback_info info) {
  Wal *w;
  napi_value result;
  if (!take(env, info, 0, NULL, &w)) return NULL;
  const File *failed = wal_failed(w);
  if (failed == NULL) return napi_get_null(env, &result) == napi_ok ? result : NULL;
  return make_failure(env, file_error(failed), failed->syscall, failed->path, &result) ? result : NULL;
}

static napi_value close_log(napi_env env, napi_callback_info info) {
  void *data = NULL;
  if (napi_get_cb_info(env, info, NULL, NULL, NULL, &data) != napi_ok) return NULL;
  wal_close(data);
  wal_detach(env, data);
  return NULL;
}

const NativeCall WAL_CALLS[] = {
    {"append", append},
    {"setRanges", set_ranges},
    {"read", read_at},
    {"write", write_at},
    {"extend", extend},
    {"truncate", truncate_to},
    {"sync", sync_now},
    {"requestSync", request_sync},
    {"syncEvery", sync_every},
    {"startWrite", start_write},
    {"startComplete", start_complete},
    {"startExtend", start_extend},
    {"finish", finish},
    {"giveBack", give_back},
    {"keepAlive", keep_alive_when},
    {"failure", failure},
    {"close", close_log},
    {NULL, NULL},
};
