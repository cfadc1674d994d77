/* winograd_pack: U[36][filters / 16][channels][16], zeros past the last filter. Lanes are filters. */
#include "winograd_transform.h"

static void K(winograd_pack)(const winograd_pack_args *a, const job *j) {
    const int64_t f_step = a->flip ? 9 : a->channels * 9, c_step = a->flip ? a->filters * 9 : 9;
    const int64_t u_step = ceil_div(a->filters, 16) * a->channels * 16;
    const slice s = slice_of(j, a->filters, 16);
    float w[9 * 16];
    for (int64_t f = s.begin; f < s.end; f += 16)
        for (int64_t c = 0; c < a->channels; c++) {
            float *u = (float *)a->packed + f * a->channels + c * 16;
            transpose_block(w, 16, (const float *)a->weight + f * f_step + c * c_step, f_step, smaller(16, a->filters - f), 9);
            for (int lane = 0; lane < 16; lane += VF) {
                vf column[3][6], row[6];
#define AT(k) vf_load(w + (a->flip ? 8 - (k) : (k)) * 16 + lane)
                UNROLL for (int v = 0; v < 3; v++) winograd_weight(AT(v), AT(3 + v), AT(6 + v), column[v]);
#undef AT
                UNROLL for (int r = 0; r < 6; r++) {
                    winograd_weight(column[0][r], column[1][r], column[2][r], row);
                    UNROLL for (int q = 0; q < 6; q++) vf_store(u + (r * 6 + q) * u_step + lane, row[q]);
                }
            }
        }
}
