"""The run: checkpoint, data set, the pass over the data, conclusions, the store."""
