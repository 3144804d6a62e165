/*
 * Reading and checking arguments, throwing. A value of the wrong type is a TypeError, one outside its bounds a
 * RangeError; a failed system call is an Error with `code`, `errno`, `syscall` and `path`, as Node's own are.
 */
#include "perdure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool throw_type(napi_env env, const char *name, const char *wanted) {
  char message[160];
  snprintf(message, sizeof message, "%s must be %s", name, wanted);
  napi_throw_type_error(env, NULL, message);
  return false;
}

bool make_failure(napi_env env, int error, const char *syscall, const char *path, napi_value *out) {
  char message[512];
  napi_value text, code, value;
  const char *name = errno_name(error);
  const char *what = error == NOT_REGULAR ? "not a regular file" : strerror(error);
  snprintf(message, sizeof message, "%s: %s, %s '%s'", name, what, syscall, path);
  if (napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text) != napi_ok) return false;
  if (napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &code) != napi_ok) return false;
  if (napi_create_error(env, code, text, out) != napi_ok) return false;
  if (napi_create_int32(env, error, &value) == napi_ok) napi_set_named_property(env, *out, "errno", value);
  if (napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &value) == napi_ok) {
    napi_set_named_property(env, *out, "syscall", value);
  }
  if (napi_create_string_utf8(env, path, NAPI_AUTO_LENGTH, &value) == napi_ok) {
    napi_set_named_property(env, *out, "path", value);
  }
  return true;
}

bool throw_errno(napi_env env, int error, const char *syscall, const char *path) {
  napi_value exception;
  if (make_failure(env, error, syscall, path, &exception)) napi_throw(env, exception);
  return false;
}

bool throw_failure(napi_env env, const File *file) {
  return throw_errno(env, file_error(file), file->syscall, file->path);
}

bool take_values(napi_env env, napi_callback_info info, size_t count, napi_value *values, void **data) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, values, NULL, data) != napi_ok) return false;
  if (given >= count) return true;
  char message[80];
  snprintf(message, sizeof message, "%zu arguments needed, %zu given", count, given);
  napi_throw_type_error(env, NULL, message);
  return false;
}

bool take_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values, Mapping **m) {
  void *data = NULL;
  if (!take_values(env, info, count, values, &data)) return false;
  *m = data;
  if ((*m)->open) return true;
  napi_throw_error(env, "CLOSED", "the mapping is closed");
  return false;
}

bool take_integer(napi_env env, napi_value value, const char *name, uint64_t max, uint64_t *out) {
  double number;
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_number) return throw_type(env, name, "a number");
  if (napi_get_value_double(env, value, &number) != napi_ok) return throw_type(env, name, "a number");
  if (number >= 0 && number <= (double)max) { /* false for NaN; max < 2^53 */
    *out = (uint64_t)number;
    if ((double)*out == number) return true;
  }
  char message[160];
  snprintf(message, sizeof message, "%s must be an integer from 0 to %llu, not %g", name, (unsigned long long)max,
           number);
  napi_throw_range_error(env, NULL, message);
  return false;
}

bool take_range(napi_env env, const Mapping *m, napi_value at, napi_value bytes, uint64_t *at_out,
                uint64_t *bytes_out) {
  return take_integer(env, at, "offset", m->size, at_out) &&
         take_integer(env, bytes, "length", m->size - *at_out, bytes_out);
}

bool take_array(napi_env env, napi_value value, napi_typedarray_type type, const char *name, void **data,
                size_t *length) {
  const char *wanted = type == napi_uint8_array ? "a Uint8Array" : "a Uint32Array";
  bool typed = false, detached = false;
  napi_typedarray_type actual;
  napi_value buffer;
  if (napi_is_typedarray(env, value, &typed) != napi_ok || !typed) return throw_type(env, name, wanted);
  if (napi_get_typedarray_info(env, value, &actual, length, data, &buffer, NULL) != napi_ok) {
    return throw_type(env, name, wanted);
  }
  if (actual != type) return throw_type(env, name, wanted);
  if (napi_is_detached_arraybuffer(env, buffer, &detached) != napi_ok || detached) {
    return throw_type(env, name, "an array that is not detached");
  }
  if (*data == NULL) *length = 0;
  return true;
}

bool take_path(napi_env env, napi_value value, char **out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return throw_type(env, "path", "a string");
  char *text = malloc(length + 1);
  if (text == NULL) {
    napi_throw_error(env, "ENOMEM", "out of memory");
    return false;
  }
  napi_get_value_string_utf8(env, value, text, length + 1, &length);
  if (length == 0 || strlen(text) != length) {
    free(text);
    return throw_type(env, "path", "a string that is not empty and holds no NUL");
  }
  *out = text;
  return true;
}

bool take_word(napi_env env, napi_value value, const char *name, char *out, size_t capacity) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, out, capacity, &length) == napi_ok) return true;
  return throw_type(env, name, "a string");
}

bool take_boolean(napi_env env, napi_value value, const char *name, bool *out) {
  if (napi_get_value_bool(env, value, out) == napi_ok) return true;
  return throw_type(env, name, "a boolean");
}

bool take_ranges(napi_env env, napi_value value, RangeList *list) {
  napi_ref reference;
  void *words;
  size_t length;
  if (!take_array(env, value, napi_uint32_array, "ranges", &words, &length)) return false;
  if (napi_create_reference(env, value, 1, &reference) != napi_ok) {
    napi_throw_error(env, NULL, "cannot register the ranges");
    return false;
  }
  drop_reference(env, &list->reference);
  *list = (RangeList){words, length, reference};
  return true;
}
