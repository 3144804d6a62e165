/*
 * The write-ahead log beside a pool: its file, the writer of its records, and the two threads that work in the
 * background. A `Wal` belongs to a mapping, of which at most one is open, and like it to one environment.
 *
 * The syncer makes the log durable, on request or every so often. The page writer writes copies of the pool's pages,
 * completes checkpoints, and extends the log; one job at a time.
 *
 * INV-NAT-5  The threads touch no JavaScript and none of the pool's mapped memory; they end before the files are
 *            closed and before the environment is gone.
 * INV-NAT-6  `synced` never exceeds what `written` was when the last completed sync of the log began; tickets are
 *            complete only up to what was requested before that.
 */
#ifndef PERDURE_WAL_H
#define PERDURE_WAL_H

#include "perdure.h"

/* Words of the control block; the same as WAL_CONTROL in src/memory/wal.ts. */
enum { WAL_SEED, WAL_AT, WAL_END, WAL_SEQ_LOW, WAL_SEQ_HIGH, WAL_COUNT, WAL_SIZE_GRANULES, WAL_LINES };
#define WAL_CONTROL_WORDS 8u

/* Slots of the state block, which JavaScript reads; the same as WAL_STATE in src/memory/native-addon.ts. */
enum { STATE_BUSY, STATE_COMPLETED, STATE_FAILED, STATE_SIZE };
#define STATE_SLOTS 4u

/* Places are counted in lines of 32 bits. */
#define MAX_WAL_BYTES (((uint64_t)1 << 32) * LINE)

/* Flags of openWal; the same as WAL_FLAG in src/memory/native-addon.ts. */
enum { WAL_CREATE = 1, WAL_STORE = 2, WAL_SYNCHRONOUS = 4 };

typedef enum { JOB_NONE, JOB_WRITE, JOB_COMPLETE, JOB_EXTEND } JobKind;

/* Neighbouring pages. */
typedef struct {
  uint64_t at;
  uint64_t bytes;
} Run;

/* What the page writer does; written by the JavaScript thread while no job is running. */
typedef struct {
  JobKind kind;
  uint64_t run_count;
  uint64_t at;    /* JOB_COMPLETE: where the header goes */
  uint64_t bytes; /* JOB_COMPLETE: its length */
  uint64_t size;  /* JOB_EXTEND */
  /* the copies of the pages, or the header */
  uint8_t *staging;
  uint64_t capacity;
  Run *runs;
  uint64_t run_capacity;
} Job;

typedef struct Wal {
  Mapping *m;
  File file;
  bool open;
  bool created;     /* by this opening */
  bool store;       /* records are written through a mapping of the file */
  bool synchronous; /* and are durable with a fence */
  int filler;       /* another descriptor of the file, for extensions */

  /* the JavaScript thread only */
  uint8_t *base; /* mapping of the file, as far as it was needed; or NULL */
  uint64_t mapped;
  uint8_t *gather; /* where records are put together for pwrite, or NULL */
  RangeList ranges;
  uint32_t *control;
  double *state;
  napi_ref control_ref;
  napi_ref state_ref;
  napi_ref object_ref; /* weak, but while the program is to be kept alive */
  uint32_t users;
  bool hooked;
  bool kept_alive;
  napi_threadsafe_function progress; /* made with the first thread */
  Job job;

  /* atomics */
  uint64_t size;      /* of the file; all of it was written to */
  uint64_t written;   /* writes so far */
  uint64_t synced;    /* writes that are durable */
  uint64_t requested; /* the last ticket */
  uint64_t completed; /* tickets up to this */
  bool dormant;       /* the syncer must be woken when something is written */
  bool notified;      /* JavaScript is about to be told */

  /* under `lock` */
  pthread_mutex_t lock;
  pthread_cond_t to_syncer, to_writer, to_caller;
  bool has_syncer, has_writer;
  pthread_t syncer, writer;
  uint64_t interval_ns;
  uint64_t told; /* tickets of which JavaScript was told that they fail */
  bool stopping;
  bool running; /* a job */
  int job_error;
  const char *job_syscall;
  const File *job_file;
} Wal;

/* wal-file.c */
/* Opens the file; ENOENT when there is none and `flags` do not say to create it. */
int wal_open(Wal *w, uint32_t flags, const char **syscall);
/* Ends what goes on in the background, and closes. Idempotent. */
void wal_close(Wal *w);
/* The file that failed for good, of the log's and the pool's; or NULL. */
const File *wal_failed(const Wal *w);
/* Sees to it that all of the file is mapped. */
int wal_map(Wal *w);
int wal_read(const Wal *w, uint64_t at, uint8_t *target, uint64_t bytes);
/* Writes within the file. */
int wal_write(Wal *w, uint64_t at, const uint8_t *bytes, uint64_t length);
/* Makes the file longer. Not final when there is no room: the file is as before then. */
int wal_extend(Wal *w, uint64_t size, const char **syscall);
int wal_truncate(Wal *w, uint64_t size);

/* wal-record.c */
/*
 * Writes the record that the control block asks for. Returns NULL, or what is out of range: nothing was written then.
 * `*error`: errno of a failed write.
 */
const char *wal_append(Wal *w, int *error);

/* wal-threads.c */
/* Something was written to the log. */
void wal_wrote(Wal *w);
/* Returns when all that was written is durable. Any thread. */
int wal_sync(Wal *w);
/* From now on writes are synced so long after; 0: on request only. */
int wal_set_interval(Wal *w, uint64_t ns);
/* A sync that begins from now on. */
int wal_request_sync(Wal *w, uint64_t *ticket);
bool wal_busy(const Wal *w);
/* Starts what `job` says. */
int wal_start_job(Wal *w);
/* Waits until no job is running. */
void wal_wait(Wal *w);
/* Ends the threads; what they were asked for is done first. */
void wal_stop(Wal *w);
/* Tells JavaScript that something has changed. */
void wal_notify(Wal *w);

/* wal-object.c */
napi_value open_wal(napi_env env, napi_callback_info info);
/* Makes the way by which threads tell JavaScript, if it is not there; an exception may be pending when it fails. */
bool ensure_progress(napi_env env, Wal *w);
/* Lets go of what belongs to JavaScript, after wal_close. */
void wal_detach(napi_env env, Wal *w);
/* Keeps the event loop alive and the log from being collected, or no longer. */
void keep_alive(napi_env env, Wal *w, bool wanted);

extern const NativeCall WAL_CALLS[]; /* wal-calls.c */

#endif
