/* FFTW's planner is one for the whole process and must not be entered by two threads; running a plan is free. */
#ifndef DECO_COMPUTE_FFT_PLANNER_H
#define DECO_COMPUTE_FFT_PLANNER_H

#include <pthread.h>

/* Held while a plan is made or destroyed. */
extern pthread_mutex_t deco_fft_planner;

#endif
