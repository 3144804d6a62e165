/*
 * What goes on behind the program's back: the thread that syncs the log and the one that writes pages. Both start when
 * they are first needed, and end in wal_stop.
 *
 * `lock` guards what one thread tells another and is held for moments only; `file.syncing` is held during a sync, and
 * never taken with `lock` held. INV-NAT-5 and INV-NAT-6 are kept here.
 */
#include "wal.h"

#include <errno.h>
#include <time.h>

#define STACK_BYTES (256u * 1024)
#define SECOND 1000000000u
#define NEVER UINT64_MAX

static uint64_t load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static void store(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void show(Wal *w, int slot, double value) { __atomic_store(&w->state[slot], &value, __ATOMIC_RELEASE); }

void wal_notify(Wal *w) {
  if (w->progress == NULL || __atomic_exchange_n(&w->notified, true, __ATOMIC_SEQ_CST)) return;
  napi_call_threadsafe_function(w->progress, NULL, napi_tsfn_nonblocking);
}

/* --------------------------------------------------------------------------------------- sync */

void wal_wrote(Wal *w) {
  __atomic_fetch_add(&w->written, 1, __ATOMIC_SEQ_CST);
  /* In this order; the syncer sets `dormant` and then looks for writes. */
  if (!__atomic_load_n(&w->dormant, __ATOMIC_SEQ_CST)) return;
  pthread_mutex_lock(&w->lock);
  __atomic_store_n(&w->dormant, false, __ATOMIC_SEQ_CST);
  pthread_cond_signal(&w->to_syncer);
  pthread_mutex_unlock(&w->lock);
}

static int sync_written(Wal *w) {
  const uint64_t requested = load(&w->requested), written = load(&w->written);
  int error = file_error(&w->file);
  if (error == 0 && written != load(&w->synced)) {
    if (w->m->fences) {
      double *syncs = &w->m->counters[COUNTER_SYNCS];
      const double count = *syncs + 1;
      error = file_sync_locked(&w->file);
      __atomic_store(syncs, &count, __ATOMIC_RELAXED);
    }
    if (error == 0) store(&w->synced, written);
  }
  if (error == 0) {
    store(&w->completed, requested);
    show(w, STATE_COMPLETED, (double)requested);
  }
  return error;
}

int wal_sync(Wal *w) {
  pthread_mutex_lock(&w->file.syncing);
  const int error = sync_written(w);
  pthread_mutex_unlock(&w->file.syncing);
  return error;
}

/* When the syncer has something to do, if the oldest unsynced write was made at `since`. */
static uint64_t due(const Wal *w, uint64_t since) {
  if (file_error(&w->file) != 0) return load(&w->requested) > w->told ? 0 : NEVER;
  if (load(&w->requested) > load(&w->completed)) return 0;
  return w->interval_ns != 0 && load(&w->written) != load(&w->synced) ? since + w->interval_ns : NEVER;
}

/* Returns false when the thread is to end. */
static bool await_due(Wal *w, uint64_t *since) {
  while (!w->stopping) {
    const uint64_t at = due(w, *since);
    if (at <= now_ns()) return true;
    if (at != NEVER) {
      const struct timespec until = {(time_t)(at / SECOND), (long)(at % SECOND)};
      pthread_cond_timedwait(&w->to_syncer, &w->lock, &until);
      continue;
    }
    __atomic_store_n(&w->dormant, w->interval_ns != 0, __ATOMIC_SEQ_CST);
    if (due(w, *since) == NEVER) pthread_cond_wait(&w->to_syncer, &w->lock);
    __atomic_store_n(&w->dormant, false, __ATOMIC_SEQ_CST);
    *since = now_ns();
  }
  return false;
}

static void *run_syncer(void *data) {
  Wal *w = data;
  uint64_t since = now_ns();
  pthread_mutex_lock(&w->lock);
  while (await_due(w, &since)) {
    pthread_mutex_unlock(&w->lock);
    since = now_ns(); /* what is written from here on may not be covered */
    const uint64_t requested = load(&w->requested);
    wal_sync(w);
    wal_notify(w);
    pthread_mutex_lock(&w->lock);
    w->told = requested;
  }
  const bool owed = due(w, since) != NEVER;
  pthread_mutex_unlock(&w->lock);
  if (owed) wal_sync(w);
  return NULL;
}

/* --------------------------------------------------------------------------------------- jobs */

/* INV-MEM-6: the pages were copied before the job began. */
static int write_pages(Wal *w, const File **file) {
  const Job *job = &w->job;
  const uint8_t *from = job->staging;
  *file = &w->file;
  int error = wal_sync(w);
  if (error == 0) *file = &w->m->file;
  for (uint64_t i = 0; error == 0 && i < job->run_count; i++) {
    error = file_write(&w->m->file, from, job->runs[i].bytes, job->runs[i].at);
    from += job->runs[i].bytes;
  }
  return error;
}

static int complete(Wal *w, const File **file) {
  const Job *job = &w->job;
  *file = &w->m->file;
  int error = w->m->fences ? file_sync(&w->m->file, false) : file_error(&w->m->file);
  if (error != 0) return error;
  *file = &w->file;
  error = file_write(&w->file, job->staging, job->bytes, job->at);
  if (error != 0) return error;
  wal_wrote(w);
  return wal_sync(w);
}

static void run_job(Wal *w) {
  const File *file = &w->file;
  const char *syscall = NULL;
  int error;
  if (w->job.kind == JOB_WRITE) error = write_pages(w, &file);
  else if (w->job.kind == JOB_COMPLETE) error = complete(w, &file);
  else error = wal_extend(w, w->job.size, &syscall);
  w->job_error = error;
  w->job_syscall = syscall != NULL ? syscall : file->syscall;
  w->job_file = file;
}

static void *run_writer(void *data) {
  Wal *w = data;
  pthread_mutex_lock(&w->lock);
  for (;;) {
    while (!w->running && !w->stopping) pthread_cond_wait(&w->to_writer, &w->lock);
    if (!w->running) break;
    pthread_mutex_unlock(&w->lock);
    run_job(w);
    pthread_mutex_lock(&w->lock);
    __atomic_store_n(&w->running, false, __ATOMIC_RELEASE);
    show(w, STATE_BUSY, 0);
    pthread_cond_broadcast(&w->to_caller);
    pthread_mutex_unlock(&w->lock);
    wal_notify(w);
    pthread_mutex_lock(&w->lock);
  }
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

/* --------------------------------------------------------------------------------------- the caller's side */

/* Signals belong to the program's own threads. */
static int start(Wal *w, bool *started, pthread_t *thread, void *(*body)(void *), const char *name) {
  sigset_t all, before;
  pthread_attr_t attributes;
  if (*started) return 0;
  int error = pthread_attr_init(&attributes);
  if (error != 0) return error;
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_create(thread, &attributes, body, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (error != 0) return error;
  pthread_setname_np(*thread, name);
  *started = true;
  return 0;
}

static int start_syncer(Wal *w) { return start(w, &w->has_syncer, &w->syncer, run_syncer, "perdure-sync"); }

int wal_set_interval(Wal *w, uint64_t ns) {
  const int error = ns == 0 ? 0 : start_syncer(w);
  if (error != 0) return error;
  pthread_mutex_lock(&w->lock);
  w->interval_ns = ns;
  pthread_cond_signal(&w->to_syncer);
  pthread_mutex_unlock(&w->lock);
  return 0;
}

int wal_request_sync(Wal *w, uint64_t *ticket) {
  const int error = start_syncer(w);
  if (error != 0) return error;
  pthread_mutex_lock(&w->lock);
  *ticket = __atomic_add_fetch(&w->requested, 1, __ATOMIC_SEQ_CST);
  pthread_cond_signal(&w->to_syncer);
  pthread_mutex_unlock(&w->lock);
  return 0;
}

bool wal_busy(const Wal *w) { return __atomic_load_n(&w->running, __ATOMIC_ACQUIRE); }

int wal_start_job(Wal *w) {
  const int error = start(w, &w->has_writer, &w->writer, run_writer, "perdure-pages");
  if (error != 0) return error;
  pthread_mutex_lock(&w->lock);
  __atomic_store_n(&w->running, true, __ATOMIC_RELEASE);
  show(w, STATE_BUSY, 1);
  pthread_cond_signal(&w->to_writer);
  pthread_mutex_unlock(&w->lock);
  return 0;
}

void wal_wait(Wal *w) {
  pthread_mutex_lock(&w->lock);
  while (w->running) pthread_cond_wait(&w->to_caller, &w->lock);
  pthread_mutex_unlock(&w->lock);
}

void wal_stop(Wal *w) {
  pthread_mutex_lock(&w->lock);
  w->stopping = true;
  pthread_cond_broadcast(&w->to_syncer);
  pthread_cond_broadcast(&w->to_writer);
  pthread_mutex_unlock(&w->lock);
  if (w->has_writer) pthread_join(w->writer, NULL);
  if (w->has_syncer) pthread_join(w->syncer, NULL);
  w->has_writer = w->has_syncer = false;
}
