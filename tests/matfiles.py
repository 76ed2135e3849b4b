"""MATLAB v7.3 files as MATLAB lays them out, written with h5py."""

import h5py
import numpy as np
import scipy.sparse


def mat73(path, **variables):
    """Write variables; tuples are (values, keyword arguments of `create_dataset`)."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            value, options = value if isinstance(value, tuple) else (value, {})
            if scipy.sparse.issparse(value):
                sparse(file, name, value.tocsc(), **options)
            elif isinstance(value, list):
                text(file, name, value)
            else:
                value = np.atleast_2d(value)
                dataset = file.create_dataset(name, data=value.T.astype(value.dtype), **options)
                dataset.attrs["MATLAB_class"] = np.bytes_("double")
    stamp(path)
    return path


def sparse(file, name, matrix, **options):
    """A sparse matrix: a group of its entries by columns."""
    group = file.create_group(name)
    group.attrs["MATLAB_class"] = np.bytes_("double")
    group.attrs["MATLAB_sparse"] = np.uint64(matrix.shape[0])
    group.create_dataset("jc", data=matrix.indptr.astype(np.uint64))
    if matrix.nnz:
        group.create_dataset("ir", data=matrix.indices.astype(np.uint64), **options)
        group.create_dataset("data", data=matrix.data, **options)


def text(file, name, lines):
    """A char matrix of lines, filled up with blanks."""
    width = max(map(len, lines))
    codes = np.array([[ord(c) for c in line.ljust(width)] for line in lines], np.uint16)
    file.create_dataset(name, data=codes.T).attrs["MATLAB_class"] = np.bytes_("char")


def stamp(path):
    """Put MATLAB's header before what HDF5 has written."""
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")
