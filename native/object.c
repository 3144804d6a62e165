/*
 * The JavaScript object over a mapping: its properties, and who frees what when.
 *
 * Each function carries the Mapping as its data, so a call needs no lookup. `users` counts the functions and
 * the ArrayBuffer; the last finalizer frees the Mapping (INV-NAT-3). The memory goes away in one of three
 * ways (INV-NAT-2): unmap() detaches the buffer first; the last finalizer, when a pool was dropped without
 * closing; or the environment's cleanup hook, when a worker or the process ends: no JavaScript runs after it.
 */
#include "wal.h"

#include <stdlib.h>
#include <unistd.h>

/* --------------------------------------------------------------------------------------- lifetime */

void drop_reference(napi_env env, napi_ref *reference) {
  if (*reference != NULL) napi_delete_reference(env, *reference);
  *reference = NULL;
}

static void drop_references(napi_env env, Mapping *m) {
  drop_reference(env, &m->control_ref);
  drop_reference(env, &m->counters_ref);
  drop_reference(env, &m->ranges.reference);
  drop_reference(env, &m->buffer_ref);
  m->ranges = (RangeList){NULL, 0, NULL};
}

static void on_environment_end(void *data) {
  Mapping *m = data;
  m->hooked = false;
  mapping_release(m, true);
}

void mapping_drop_user(napi_env env, Mapping *m) {
  if (--m->users > 0) return;
  if (m->hooked) napi_remove_env_cleanup_hook(env, on_environment_end, m);
  mapping_release(m, true);
  drop_references(env, m);
  file_free(&m->file);
  free(m);
}

static void on_user_gone(napi_env env, void *data, void *hint) {
  (void)data;
  mapping_drop_user(env, hint);
}

static napi_value unmap(napi_env env, napi_callback_info info) {
  void *data = NULL;
  napi_value buffer = NULL;
  bool detached = false;
  if (napi_get_cb_info(env, info, NULL, NULL, NULL, &data) != napi_ok) return NULL;
  Mapping *m = data;
  struct Wal *wal = m->wal;
  if (!m->open) return NULL;
  /* 1. Take the memory away from JavaScript. */
  if (m->buffer_ref != NULL) napi_get_reference_value(env, m->buffer_ref, &buffer);
  if (buffer != NULL) {
    napi_is_detached_arraybuffer(env, buffer, &detached);
    if (detached) {
      /* Somebody transferred it: another ArrayBuffer reaches the memory. It stays until that one is collected. */
      buffer = NULL;
    } else if (napi_detach_arraybuffer(env, buffer) != napi_ok) {
      napi_throw_error(env, NULL, "unmap: the ArrayBuffer cannot be detached");
      return NULL;
    }
  }
  /* 2. Give it back; an open log is closed with it. */
  mapping_release(m, !detached);
  if (wal != NULL) wal_detach(env, wal);
  drop_references(env, m);
  if (m->hooked && !detached) {
    napi_remove_env_cleanup_hook(env, on_environment_end, m);
    m->hooked = false;
  }
  return NULL;
}

/* --------------------------------------------------------------------------------------- construction */

bool share_array(napi_env env, napi_value object, const char *name, napi_typedarray_type type, size_t length,
                 size_t bytes, void **data, napi_ref *reference) {
  napi_value buffer, array;
  return napi_create_arraybuffer(env, bytes, data, &buffer) == napi_ok &&
         napi_create_typedarray(env, type, length, buffer, 0, &array) == napi_ok &&
         napi_create_reference(env, buffer, 1, reference) == napi_ok &&
         napi_set_named_property(env, object, name, array) == napi_ok;
}

static bool set_values(napi_env env, napi_value object, const MapResult *result) {
  napi_value value;
  return napi_create_double(env, (double)result->size, &value) == napi_ok &&
         napi_set_named_property(env, object, "fileBytes", value) == napi_ok &&
         napi_create_double(env, (double)result->allocated, &value) == napi_ok &&
         napi_set_named_property(env, object, "allocatedBytes", value) == napi_ok &&
         napi_get_boolean(env, result->synchronous, &value) == napi_ok &&
         napi_set_named_property(env, object, "synchronous", value) == napi_ok;
}

bool set_functions(napi_env env, napi_value object, const NativeCall *calls, void *data, napi_finalize gone,
                   uint32_t *users) {
  for (const NativeCall *c = calls; c->name != NULL; c++) {
    napi_value function;
    if (napi_create_function(env, c->name, NAPI_AUTO_LENGTH, c->call, data, &function) != napi_ok) return false;
    if (napi_add_finalizer(env, function, data, gone, data, NULL) != napi_ok) return false;
    ++*users;
    if (napi_set_named_property(env, object, c->name, function) != napi_ok) return false;
  }
  return true;
}

static bool set_buffer(napi_env env, napi_value object, Mapping *m) {
  napi_value buffer;
  /* Counted first, and kept on failure: Node may run the finalizer of a buffer that it refused to make. */
  m->users++;
  if (napi_create_external_arraybuffer(env, m->base, m->length, on_user_gone, m, &buffer) != napi_ok) return false;
  return napi_create_reference(env, buffer, 0, &m->buffer_ref) == napi_ok &&
         napi_set_named_property(env, object, "buffer", buffer) == napi_ok;
}

static bool build(napi_env env, napi_value object, Mapping *m, const MapResult *result) {
  if (!share_array(env, object, "control", napi_uint32_array, CONTROL_WORDS, CONTROL_WORDS * sizeof(uint32_t),
                   (void **)&m->control, &m->control_ref)) {
    return false;
  }
  if (!share_array(env, object, "counters", napi_float64_array, COUNTER_SLOTS, COUNTER_SLOTS * sizeof(double),
                   (void **)&m->counters, &m->counters_ref)) {
    return false;
  }
  if (napi_add_env_cleanup_hook(env, on_environment_end, m) != napi_ok) return false;
  m->hooked = true;
  static const NativeCall own[] = {{"unmap", unmap}, {NULL, NULL}};
  return set_values(env, object, result) && set_functions(env, object, MAPPING_CALLS, m, on_user_gone, &m->users) &&
         set_functions(env, object, own, m, on_user_gone, &m->users) && set_buffer(env, object, m);
}

/* map(path, maxBytes, flags): opens, locks and maps; flags: 1 create (must not exist). */
napi_value map_file(napi_env env, napi_callback_info info) {
  napi_value arguments[3], object;
  uint64_t length, flags;
  char *path;
  if (!take_values(env, info, 3, arguments, NULL)) return NULL;
  if (!take_integer(env, arguments[1], "maxBytes", (uint64_t)1 << 36, &length)) return NULL;
  if (!take_integer(env, arguments[2], "flags", MAP_CREATE, &flags)) return NULL;
  if (length == 0 || length % PAGE != 0) {
    napi_throw_range_error(env, NULL, "maxBytes must be a multiple of 4096");
    return NULL;
  }
  if (!take_path(env, arguments[0], &path)) return NULL;
  Mapping *m = calloc(1, sizeof *m);
  if (m == NULL) {
    free(path);
    napi_throw_error(env, "ENOMEM", "out of memory");
    return NULL;
  }
  file_init(&m->file, path);
  m->length = length;
  m->fences = true;
  m->users = 1; /* this function */
  MapResult result;
  const char *syscall = "";
  const int error = mapping_open(m, (uint32_t)flags, &result, &syscall);
  bool built = false;
  if (error != 0) throw_errno(env, error, syscall, path);
  else built = napi_create_object(env, &object) == napi_ok && build(env, object, m, &result);
  if (error == 0 && !built) {
    bool pending = false;
    if (flags & MAP_CREATE) unlink(path); /* while it is still locked */
    mapping_release(m, true); /* the object is dropped: nothing reaches the memory */
    napi_is_exception_pending(env, &pending);
    if (!pending) napi_throw_error(env, "EBUFFER", "this Node cannot make an ArrayBuffer of that length over a mapping");
  }
  mapping_drop_user(env, m);
  return built ? object : NULL;
}
