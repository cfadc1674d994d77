/* conv2d_pack: for each group of channels [block of 16 filters][block of channels][u][v][channel][16], zeros past the last
   filter: for one image, whose lanes are filters. */
static void K(conv2d_pack)(const conv2d_pack_args *a, const job *j) {
    (void)a; (void)j;
}
