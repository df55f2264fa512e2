//! highwater-operators
