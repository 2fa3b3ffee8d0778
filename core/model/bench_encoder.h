/* How fast this machine runs the encoder: ViT-S/14 at the default size, 4 images at a time, in training with AdamW and in evaluation. */
#ifndef DECO_MODEL_BENCH_ENCODER_H
#define DECO_MODEL_BENCH_ENCODER_H

#include "compute/bench.h"

enum { DECO_ENCODER_CASES = 3 };
extern const deco_bench_case deco_encoder_cases[DECO_ENCODER_CASES];

#endif
