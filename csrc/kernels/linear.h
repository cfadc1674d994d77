/* linear: forward, and its two gradients. Formulas and the order of sums in fastnn.h. */
#include "linear_tiles.h"
#include "linear_image.h"
#include "linear_weight.h"

static void K(linear_forward)(const linear_forward_args *a, const job *j) {
    const float *x = a->x.p + j->group * a->x.stride;
    const float *residual = a->residual.p ? a->residual.p + j->group * a->residual.stride : NULL;
    float *y = a->y.p + j->group * a->y.stride;
    const linear_map m = {
        .a = x, .b = a->weight, .bias = a->bias, .residual = residual, .y = y, .relu = (int)a->relu,
        .a_position = a->in_features * LANES, .a_k = LANES, .b_f = a->in_features, .b_k = 1,
        .y_position = a->out_features * LANES, .y_f = LANES, .k = a->in_features,
        .mode = TILE_VS, .a_pieces = PIECES, .b_pieces = 1};
    const linear_strides steps = {a->x.stride, a->y.stride, a->residual.stride};
    if (LANES == 16) linear_groups(&m, a->positions, a->out_features, steps, j);
    else linear_image(a, x, y, residual, j);
}

static void K(linear_backward_input)(const linear_backward_input_args *a, const job *j) {
    const linear_map m = {
        .a = a->dy.p + j->group * a->dy.stride, .b = a->weight, .y = a->dx.p + j->group * a->dx.stride,
        .residual = a->residual.p ? a->residual.p + j->group * a->residual.stride : NULL,
        .mask = a->mask.p ? a->mask.p + j->group * a->mask.stride : NULL,
        .a_position = a->out_features * LANES, .a_k = LANES, .b_f = 1, .b_k = a->in_features,
        .y_position = a->in_features * LANES, .y_f = LANES, .k = a->out_features,
        .mode = TILE_VS, .a_pieces = PIECES, .b_pieces = 1};
    const linear_strides steps = {a->dy.stride, a->dx.stride, a->residual.stride, a->mask.stride};
    if (LANES == 16) linear_groups(&m, a->positions, a->in_features, steps, j);
    else linear_image_backward(&m, a->positions, a->in_features, j);
}

static void K(linear_backward_weight)(const linear_backward_weight_args *a, const job *j) {
    linear_weight(a, NULL, j, LANES);
}

static void K(linear_backward_weight_sgd)(const linear_backward_weight_sgd_args *a, const job *j) {
    const linear_backward_weight_args sums = {
        .dy = a->dy, .x = a->x, .positions = a->positions, .in_features = a->in_features, .out_features = a->out_features,
        .dy_steps = {a->dy_steps[0], a->dy_steps[1]}, .x_steps = {a->x_steps[0], a->x_steps[1]}};
    const sgd_args update = {
        .weight = a->weight, .velocity = a->velocity, .first = a->first, .lr = a->lr, .momentum = a->momentum,
        .dampening = a->dampening, .weight_decay = a->weight_decay, .nesterov = a->nesterov};
    linear_weight(&sums, &update, j, LANES);
}
