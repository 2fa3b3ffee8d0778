/* What lets gcc and nvcc read the same formula. */
#ifndef DECO_FORMULAS_HOST_DEVICE_H
#define DECO_FORMULAS_HOST_DEVICE_H

#ifdef __CUDACC__
#define DECO_HD static inline __host__ __device__
#else
#define DECO_HD static inline
#endif

#endif
