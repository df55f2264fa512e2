//! Exact values, shared by windows and trailing frames.
//!
//! * [`values`]: columns as plain `i64`, `i128`, `f64` or bytes, and back.
//! * [`finish`]: exact moments (count, sum, sum of squares) to the value of the result's type, rounded once.
//! * [`wide`]: integers that widen instead of wrapping.
//! * [`double`]: sums of DOUBLE that do not depend on order.
//!
//! No state of an operator lives here, and nothing here knows windows or frames.

pub mod double;
pub mod finish;
pub mod values;
pub mod wide;

pub use double::ExactSum;
pub use finish::{Finish, Overflow, describe_key};
pub use values::{Shape, Values, column_of_i64, column_of_i128};
