//! The scalar functions of a job.

use datafusion_expr::ScalarUDF;
use std::sync::Arc;

/// Functions whose meaning is Flink's.
const SAME: [&str; 19] = [
    "abs",
    "ceil",
    "floor",
    "round",
    "sqrt",
    "power",
    "ln",
    "exp",
    "upper",
    "lower",
    "character_length",
    "substr",
    "btrim",
    "coalesce",
    "concat_ws",
    "nullif",
    "date_part",
    "strpos",
    "regexp_like",
];

/// All of them.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    datafusion_functions::all_default_functions().into_iter().filter(|u| SAME.contains(&u.name())).collect()
}

/// An expression as SQL.
pub(crate) fn text(e: &highwater_engine::expr::Expr, schema: &arrow_schema::Schema) -> String {
    let _ = schema;
    format!("{e:?}")
}
