/* The contrast transfer function of METHOD.md section 2. Its phase reaches hundreds of radians and is held in double. */
#ifndef DECO_FORMULAS_CTF_H
#define DECO_FORMULAS_CTF_H

#include "formulas/host_device.h"
#include <math.h>

#define DECO_TWO_PI 6.283185307179586476925

/* One particle's microscope: what the CTF needs, in Å and radians. */
typedef struct deco_ctf_row {
    float defocus_u_A, defocus_v_A, astig_rad, amp_contrast, phase_rad, bfactor_A2;
    float psize_A;  /* of the box actually used */
    float cs_A;     /* spherical aberration: mm · 1e7 */
    double lambda_A;
} deco_ctf_row;

/* Electron wavelength in Å at an acceleration of `kV`. */
DECO_HD double deco_wavelength_A(double kV)
{
    double V = 1e3 * kV;
    return 12.2639 / sqrt(V + 0.97845e-6 * V * V);
}

/* At the frequency (kx, ky) in cycles per pixel. */
DECO_HD float deco_ctf(deco_ctf_row c, float kx, float ky)
{
    double sx = kx / (double)c.psize_A, sy = ky / (double)c.psize_A, s2 = sx * sx + sy * sy;
    /* cos 2(θ - θ_ast) from the double angle, without an arc tangent */
    double c2 = s2 > 0 ? (sx * sx - sy * sy) / s2 : 1, d2 = s2 > 0 ? 2 * sx * sy / s2 : 0;
    double df = 0.5 * ((double)c.defocus_u_A + c.defocus_v_A
                + ((double)c.defocus_u_A - c.defocus_v_A) * (c2 * cos(2.0 * c.astig_rad) + d2 * sin(2.0 * c.astig_rad)));
    double l = c.lambda_A, gamma = DECO_TWO_PI * l * s2 * (0.25 * c.cs_A * l * l * s2 - 0.5 * df) - c.phase_rad;
    float g = (float)remainder(gamma, DECO_TWO_PI), w = c.amp_contrast;
    return (sqrtf(1 - w * w) * sinf(g) - w * cosf(g)) * expf(-0.25f * c.bfactor_A2 * (float)s2);
}

#endif
