/*
 * The addon's entry: `map` and what the machine offers. May be loaded into any number of environments (worker
 * threads) at once; it keeps no state but what hangs on the mappings.
 */
#include "perdure.h"

static bool set_machine(napi_env env, napi_value exports) {
  napi_value names, name;
  uint32_t count = 0;
  if (napi_create_array(env, &names) != napi_ok) return false;
  for (const FlushInstruction *i = flush_instructions(); i->name != NULL; i++) {
    if (napi_create_string_utf8(env, i->name, NAPI_AUTO_LENGTH, &name) != napi_ok) return false;
    if (napi_set_element(env, names, count++, name) != napi_ok) return false;
  }
  return napi_set_named_property(env, exports, "flushInstructions", names) == napi_ok;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"map", NULL, map_file, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions) != napi_ok) return NULL;
  return set_machine(env, exports) ? exports : NULL;
}
