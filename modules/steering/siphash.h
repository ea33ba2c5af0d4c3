/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * siphash.h - SipHash-1-3 with a key of zeros: the number by which LibreQoS
 * calls a circuit or device, which is Rust's DefaultHasher over its id.
 */
#ifndef STEERING_SIPHASH_H
#define STEERING_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash13(const void *data, size_t len);

#endif /* STEERING_SIPHASH_H */
