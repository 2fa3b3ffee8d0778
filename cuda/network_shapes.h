/* Which shape of tile serves a width and a card. */
#ifndef DECO_CUDA_NETWORK_SHAPES_H
#define DECO_CUDA_NETWORK_SHAPES_H

#include "network_tile.h"

/* Blocks of a persistent grid: as many as run at once. */
template <class T> static inline int64_t blocks_at_once(deco_device *dev, size_t shared, int64_t tiles)
{
    cuda_limits card = cuda_limits_of(dev);
    int64_t by_memory = (int64_t)(card.shared / shared), each = T::blocks < by_memory ? T::blocks : by_memory;
    int64_t most = (int64_t)card.processors * (each < 1 ? 1 : each);
    return tiles < most ? tiles : most;
}

/* with(tile<...>()) for a decoder's width where this card has the memory, for `layers` of training; otherwise *served is false. */
template <class With> static inline deco_status with_tile(deco_device *dev, int64_t H, int layers, bool *served, With with)
{
    size_t has = cuda_limits_of(dev).shared;
    *served = true;
    if (H == 128 && shared_bytes<tile<2>>(layers) <= has)
        return with(tile<2>());
    if (H == 256 && shared_bytes<tile<4>>(layers) <= has)
        return with(tile<4>());
    if (H == 512 && shared_bytes<tile<8>>(layers) <= has)
        return with(tile<8>());
    *served = false;
    return DECO_OK;
}

#endif
