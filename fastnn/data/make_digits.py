"""Makes this folder's two files from scikit-learn's copy of the UCI digits (scikit-learn is needed for this alone):

    python fastnn/data/make_digits.py
"""
import gzip
import os

import numpy as np
from sklearn.datasets import load_digits


def write_idx(path, array):
    """A gzipped IDX file of unsigned bytes; no time stamp, so that making it twice gives the same bytes."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(header + array.tobytes())


digits = load_digits()
folder = os.path.dirname(os.path.abspath(__file__))
write_idx(os.path.join(folder, "digits-images-idx3-ubyte.gz"), digits.images.astype(np.uint8))
write_idx(os.path.join(folder, "digits-labels-idx1-ubyte.gz"), digits.target.astype(np.uint8))
