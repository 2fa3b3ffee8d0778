/* The contrast transfer function of METHOD.md section 2. Its phase reaches hundreds of radians and is held in double. */
#ifndef DECO_FORMULAS_CTF_H
#define DECO_FORMULAS_CTF_H

#include "formulas/host_device.h"
#include <math.h>

#define DECO_TWO_PI 6.283185307179586476925

/* One particle's microscope: what the CTF needs, in Å and radians. */
typedef struct deco_ctf_row {
    float defocus_u_A, defocus_v_A, astig_rad, amp_contrast, phase_rad, bfactor_A2;
    float psize_A; /* of the box actually used */
    float cs_A;    /* spherical aberration: mm · 1e7 */
    double lambda_A;
} deco_ctf_row;

/* Electron wavelength in Å at an acceleration of `kV`. */
DECO_HD double deco_wavelength_A(double kV)
{
    double V = 1e3 * kV;
    return 12.2639 / sqrt(V + 0.97845e-6 * V * V);
}

/* The phase as a polynomial of the frequency in cycles per pixel:
 * γ/2π = xx·kx² + xy·kx·ky + yy·ky² + k4·(kx² + ky²)² - offset, astigmatism through cos 2(θ - θ_ast) = (…)/s², so without an arc
 * tangent. And sqrt(1 - w²) sin γ - w cos γ = sin(γ - asin w): the offset takes asin w as well. */
typedef struct deco_ctf_phase {
    double xx, xy, yy, k4, offset;
    float fall; /* of the B factor: exp(-fall·k²) */
} deco_ctf_phase;

DECO_HD deco_ctf_phase deco_ctf_prepare(deco_ctf_row c)
{
    double l = c.lambda_A, s = 1 / ((double)c.psize_A * c.psize_A), a = 2.0 * c.astig_rad;
    double mean = -0.25 * l * s * ((double)c.defocus_u_A + c.defocus_v_A), half = -0.25 * l * s * ((double)c.defocus_u_A - c.defocus_v_A);
    deco_ctf_phase p;
    p.xx = mean + half * cos(a);
    p.yy = mean - half * cos(a);
    p.xy = 2 * half * sin(a);
    p.k4 = 0.25 * c.cs_A * l * l * l * s * s;
    p.offset = (c.phase_rad + asin((double)c.amp_contrast)) / DECO_TWO_PI;
    p.fall = (float)(0.25 * c.bfactor_A2 * s);
    return p;
}

DECO_HD float deco_ctf_at(deco_ctf_phase p, float kx, float ky)
{
    double x = kx, y = ky, k2 = x * x + y * y;
    double turns = p.xx * x * x + p.xy * x * y + p.yy * y * y + p.k4 * k2 * k2 - p.offset;
    float wave = sinf((float)(DECO_TWO_PI * (turns - floor(turns + 0.5))));
    return p.fall != 0 ? wave * expf(-p.fall * (float)k2) : wave;
}

/* At the frequency (kx, ky) in cycles per pixel. */
DECO_HD float deco_ctf(deco_ctf_row c, float kx, float ky) { return deco_ctf_at(deco_ctf_prepare(c), kx, ky); }

#endif
