//! highwater-connectors
