//! The order-independent digest of a sink's rows.
