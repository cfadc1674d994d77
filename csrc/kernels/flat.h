/* The FLAT kernels: once, after the row kernels. */
#include "move_int.h"
#include "conv2d_pack.h"
#include "winograd_pack.h"
#include "linear_pack.h"
#include "recurrent_pack.h"
#include "batch_norm_flat.h"
#include "sgd.h"
#include "adam.h"
