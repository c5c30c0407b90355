#include <stddef.h>
#include <stdint.h>

// In bindings/ffi/src/test_support.rs.
size_t whimbrel_kept_update(uint8_t *out, size_t capacity);
