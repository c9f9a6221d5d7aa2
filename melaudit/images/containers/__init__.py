"""What tar files, HDF5 files and addresses hold, as far as images go."""
