/*
 * The JavaScript object over a write-ahead log: its properties, how threads call back, and who frees what when.
 *
 * `users` counts the functions of the object, and the Wal is freed when they are collected and the way for threads to
 * call back is torn down, whichever comes last; until then it keeps its mapping (INV-NAT-3). The threads end (INV-NAT-5)
 * in close(), in unmap() of the mapping, when a log was dropped without closing, or in the environment's cleanup hook.
 * That hook is set after the way to call back was made, so that it runs before Node tears that down.
 */
#include "wal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* --------------------------------------------------------------------------------------- calling back */

/* From the event loop; with `env` NULL for what was left when it was torn down, and the Wal may be gone. */
static void on_progress(napi_env env, napi_value unused, void *context, void *data) {
  Wal *w = context;
  napi_value object, callback;
  napi_valuetype type;
  (void)unused;
  (void)data;
  if (env == NULL) return;
  (void)__atomic_exchange_n(&w->notified, false, __ATOMIC_SEQ_CST); /* before JavaScript looks at the state */
  if (!w->open) return;
  if (napi_get_reference_value(env, w->object_ref, &object) != napi_ok || object == NULL) return;
  if (napi_get_named_property(env, object, "onProgress", &callback) != napi_ok) return;
  if (napi_typeof(env, callback, &type) == napi_ok && type == napi_function) {
    napi_call_function(env, object, callback, 0, NULL, NULL);
  }
}

static void on_environment_end(void *data) {
  Wal *w = data;
  w->hooked = false;
  wal_close(w);
}

static void free_if_unused(napi_env env, Wal *w) {
  if (w->users > 0 || w->progress != NULL) return;
  mapping_drop_user(env, w->m);
  pthread_cond_destroy(&w->to_syncer);
  pthread_cond_destroy(&w->to_writer);
  pthread_cond_destroy(&w->to_caller);
  pthread_mutex_destroy(&w->lock);
  file_free(&w->file);
  free(w);
}

static void on_progress_gone(napi_env env, void *data, void *hint) {
  Wal *w = data;
  (void)hint;
  w->progress = NULL;
  free_if_unused(env, w);
}

bool ensure_progress(napi_env env, Wal *w) {
  napi_value name;
  if (w->progress != NULL) return true;
  if (napi_create_string_utf8(env, "perdure", NAPI_AUTO_LENGTH, &name) != napi_ok) return false;
  if (napi_create_threadsafe_function(env, NULL, NULL, name, 0, 1, w, on_progress_gone, w, on_progress,
                                      &w->progress) != napi_ok) {
    return false;
  }
  w->hooked = napi_add_env_cleanup_hook(env, on_environment_end, w) == napi_ok;
  if (!w->kept_alive) napi_unref_threadsafe_function(env, w->progress);
  return true;
}

void keep_alive(napi_env env, Wal *w, bool wanted) {
  if (w->kept_alive == wanted) return;
  w->kept_alive = wanted;
  if (wanted) napi_reference_ref(env, w->object_ref, NULL);
  else napi_reference_unref(env, w->object_ref, NULL);
  if (w->progress == NULL) return;
  if (wanted) napi_ref_threadsafe_function(env, w->progress);
  else napi_unref_threadsafe_function(env, w->progress);
}

/* --------------------------------------------------------------------------------------- lifetime */

void wal_detach(napi_env env, Wal *w) {
  if (w->hooked) napi_remove_env_cleanup_hook(env, on_environment_end, w);
  w->hooked = false;
  if (w->object_ref == NULL) return;
  drop_reference(env, &w->control_ref);
  drop_reference(env, &w->state_ref);
  drop_reference(env, &w->ranges.reference);
  drop_reference(env, &w->object_ref);
  w->ranges = (RangeList){NULL, 0, NULL};
  /* Torn down on a later turn of the event loop; on_progress_gone follows. */
  if (w->progress != NULL) napi_release_threadsafe_function(w->progress, napi_tsfn_abort);
}

static void on_user_gone(napi_env env, void *data, void *hint) {
  Wal *w = hint;
  (void)data;
  if (--w->users > 0) return;
  wal_close(w);
  wal_detach(env, w);
  free_if_unused(env, w);
}

static Wal *create(Mapping *m, char *path) {
  pthread_condattr_t clock;
  Wal *w = calloc(1, sizeof *w);
  if (w == NULL) return NULL;
  file_init(&w->file, path);
  pthread_mutex_init(&w->lock, NULL);
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_cond_init(&w->to_syncer, &clock);
  pthread_condattr_destroy(&clock);
  pthread_cond_init(&w->to_writer, NULL);
  pthread_cond_init(&w->to_caller, NULL);
  w->m = m;
  m->users++;
  w->users = 1; /* open_wal */
  return w;
}

static bool build(napi_env env, napi_value object, Wal *w) {
  return share_array(env, object, "control", napi_uint32_array, WAL_CONTROL_WORDS, WAL_CONTROL_WORDS * sizeof(uint32_t),
                     (void **)&w->control, &w->control_ref) &&
         share_array(env, object, "state", napi_float64_array, STATE_SLOTS, STATE_SLOTS * sizeof(double),
                     (void **)&w->state, &w->state_ref) &&
         napi_create_reference(env, object, 0, &w->object_ref) == napi_ok;
}

static bool finish(napi_env env, napi_value object, Wal *w) {
  napi_value created;
  return napi_get_boolean(env, w->created, &created) == napi_ok &&
         napi_set_named_property(env, object, "created", created) == napi_ok &&
         set_functions(env, object, WAL_CALLS, w, on_user_gone, &w->users);
}

/* openWal(path, flags): the log in this file; null when there is none and `flags` do not say to create it. */
napi_value open_wal(napi_env env, napi_callback_info info) {
  Mapping *m;
  napi_value arguments[2], object = NULL;
  uint64_t flags;
  char *path;
  if (!take_arguments(env, info, 2, arguments, &m)) return NULL;
  if (!take_integer(env, arguments[1], "flags", WAL_CREATE | WAL_STORE | WAL_SYNCHRONOUS, &flags)) return NULL;
  if (m->wal != NULL) {
    napi_throw_error(env, "OPEN", "openWal: the log of this pool is open already");
    return NULL;
  }
  if (file_error(&m->file) != 0) {
    throw_failure(env, &m->file);
    return NULL;
  }
  if (!take_path(env, arguments[0], &path)) return NULL;
  Wal *w = create(m, path);
  if (w == NULL) {
    free(path);
    napi_throw_error(env, "ENOMEM", "out of memory");
    return NULL;
  }
  const char *syscall = "";
  bool built = napi_create_object(env, &object) == napi_ok && build(env, object, w);
  const int error = built ? wal_open(w, (uint32_t)flags, &syscall) : 0;
  const bool missing = error == ENOENT && !(flags & WAL_CREATE);
  if (error != 0 && !missing) throw_errno(env, error, syscall, path);
  if (built && error == 0) built = finish(env, object, w);
  if (!built || error != 0) wal_close(w);
  if (!built || error != 0) wal_detach(env, w);
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!built && !pending) napi_throw_error(env, NULL, "openWal: this Node cannot make the object");
  on_user_gone(env, NULL, w);
  if (missing) napi_get_null(env, &object);
  return missing || (built && error == 0) ? object : NULL;
}
