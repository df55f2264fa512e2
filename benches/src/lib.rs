//! highwater-benches
