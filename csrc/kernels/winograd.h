/* winograd_forward and winograd_backward_weight: 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3); with flipped weights
   their gradient by the input; their gradient by the weight.
   A block of tiles at a time goes through three stages in scratch: V, the transformed windows; M, for each of the 36 elements
   a product of matrices U V over the channels; and y. */
#include "winograd_image.h"
#include "winograd_weight.h"

static void K(winograd_forward)(const winograd_forward_args *a, const job *j) {
#if LANES == 16
    winograd_batch(a, j);
#else
    winograd_image(a, j);
#endif
}

#if LANES == 16
static void K(winograd_backward_weight)(const winograd_backward_weight_args *a, const job *j) { winograd_weight_run(a, j); }
#endif
