//! Exact values, shared by windows and trailing frames.
//!
//! * [`values`]: columns as plain `i64`, `i128`, `f64` or bytes, and back.
//! * [`finish`]: exact moments (count, sum, sum of squares) to the value of the result's type, rounded once.
//! * [`percentile`]: the value at a share of ordered values, exactly or from buckets.
//! * [`pair`]: covariance and correlation of two columns.
//! * [`distinct`]: an estimate of how many distinct values there are.
//! * [`wide`]: integers that widen instead of wrapping.
//! * [`double`]: sums of DOUBLE that do not depend on order.
//!
//! No state of an operator lives here, and nothing here knows windows or frames.

pub mod distinct;
pub mod double;
pub mod finish;
pub mod pair;
pub mod percentile;
pub mod values;
pub mod wide;

pub use double::ExactSum;
pub use finish::{Finish, Overflow, describe_key, describe_time};
pub use values::{Shape, Values, column_of_i64, column_of_i128};
