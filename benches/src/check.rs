//! What an output comes to, whatever its order: the two sides of a measurement must agree in it.

use serde::{Deserialize, Serialize};

/// Sums over all rows of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Number of rows.
    pub rows: i64,
    /// Sum of all counts.
    pub count: i64,
    /// Sum of all sums, minor units.
    pub sum: i64,
    /// Sum of all maxima (W1) or distinct counts (W4).
    pub other: i64,
}

impl Check {
    /// Another part of the same output.
    pub fn add(&mut self, o: Check) {
        self.rows += o.rows;
        self.count += o.count;
        self.sum += o.sum;
        self.other += o.other;
    }
}
