//! highwater-jobs
