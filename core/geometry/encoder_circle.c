/* The encoder's circle, in whole numbers. */
#include "geometry/encoder_circle.h"

void deco_encoder_circle(int32_t index[DECO_ENCODER_PIXELS])
{
    int n = 0;

    /* Twice the distance from the middle is odd along either axis: no pixel lies on the circle, so that rounding decides nothing. */
    for (int y = 0; y < DECO_ENCODER_SIDE; y++)
        for (int x = 0; x < DECO_ENCODER_SIDE; x++) {
            int dy = 2 * y - (DECO_ENCODER_SIDE - 1), dx = 2 * x - (DECO_ENCODER_SIDE - 1);
            if (dx * dx + dy * dy <= 4 * DECO_ENCODER_RADIUS * DECO_ENCODER_RADIUS)
                index[n++] = y * DECO_ENCODER_SIDE + x;
        }
}
