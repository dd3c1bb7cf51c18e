"""Readers and makers of datasets, one file each.

`directory`, `ucf101`, `kth` and `ucsd_ped2` give rows, `youtube8m` and `moving_mnist` give `tf.data`, and
`moving_digits` makes videos.
"""
