//! Own expressions evaluated on batches.
