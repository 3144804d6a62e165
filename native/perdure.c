/*
 * The addon's entry: `map` and what the machine offers. May be loaded into any number of environments (worker
 * threads) at once; it keeps no state but what hangs on the mappings.
 */
#include "perdure.h"

/* crc32c(crc, bytes): for tests and for parity with the portable implementation. */
static napi_value crc32c(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  uint64_t crc;
  void *data;
  size_t length;
  if (!take_arguments(env, info, 2, arguments, NULL)) return NULL;
  if (!take_integer(env, arguments[0], "crc", UINT32_MAX, &crc)) return NULL;
  if (!take_array(env, arguments[1], napi_uint8_array, "bytes", &data, &length)) return NULL;
  crc = crc32c_update((uint32_t)crc, data, length);
  return napi_create_uint32(env, (uint32_t)crc, &result) == napi_ok ? result : NULL;
}

static bool set_machine(napi_env env, napi_value exports) {
  napi_value names, name, hardware;
  uint32_t count = 0;
  if (napi_create_array(env, &names) != napi_ok) return false;
  for (const FlushInstruction *i = flush_instructions(); i->name != NULL; i++) {
    if (napi_create_string_utf8(env, i->name, NAPI_AUTO_LENGTH, &name) != napi_ok) return false;
    if (napi_set_element(env, names, count++, name) != napi_ok) return false;
  }
  return napi_set_named_property(env, exports, "flushInstructions", names) == napi_ok &&
         napi_get_boolean(env, crc32c_is_hardware(), &hardware) == napi_ok &&
         napi_set_named_property(env, exports, "hardwareCrc32c", hardware) == napi_ok;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"map", NULL, map_file, NULL, NULL, NULL, napi_enumerable, NULL},
      {"crc32c", NULL, crc32c, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions) != napi_ok) return NULL;
  return set_machine(env, exports) ? exports : NULL;
}
