/* Looks for a secret in all memory of this process, freed or not. Who looks has it masked, each
 * byte by SECRET_MASK, or he would find himself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_MASK      0xa5
#define SECRET_PLACE_MAX 128

/* true: with the mapping that has it. */
bool secret_is_in_memory(const uint8_t *masked, size_t n, char place[SECRET_PLACE_MAX]);
