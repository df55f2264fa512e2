//! Tests of operators as scripts.
