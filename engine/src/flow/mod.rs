//! The runtime on timely dataflow.
