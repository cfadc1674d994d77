#ifndef FASTNN_CONV2D_IMAGE_H
#define FASTNN_CONV2D_IMAGE_H
static int conv2d_image(const conv2d_map *m, const job *j) { return 0; }
#endif
