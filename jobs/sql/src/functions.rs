//! The functions a job may call. An allow-list: the planner's own functions share names with Flink's, not meanings.
//!
//! Scalar functions come from the operators, which evaluate them. Aggregates are computed by our operators, so the planner
//! gets stubs that know names and Flink's result types only. `is_late` and `is_incomplete` are read as calls of a marker.

use crate::diagnostic::Fault;
use arrow_schema::DataType;
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use highwater_engine::expr::BinaryOp;
use highwater_engine::graph::AggregateFunction;
use highwater_engine::graph::types::{self, as_decimal};
use highwater_operators::expression::scalar_udfs;
use sqlparser::ast;
use std::sync::Arc;

/// Name of the marker for pseudo-columns: `__pseudo('is_late', line, column)`.
pub(crate) const PSEUDO: &str = "__pseudo";
/// Arithmetic of decimals while a query is planned: its types are Flink's.
const ARITHMETIC: [(&str, ast::BinaryOperator, BinaryOp); 4] = [
    ("decimal_add", ast::BinaryOperator::Plus, BinaryOp::Add),
    ("decimal_subtract", ast::BinaryOperator::Minus, BinaryOp::Subtract),
    ("decimal_multiply", ast::BinaryOperator::Multiply, BinaryOp::Multiply),
    ("decimal_divide", ast::BinaryOperator::Divide, BinaryOp::Divide),
];

/// The operator that a function stands for.
pub(crate) fn arithmetic(name: &str) -> Option<BinaryOp> {
    ARITHMETIC.iter().find(|(n, ..)| *n == name).map(|(_, _, op)| *op)
}

/// Aggregates and their names.
const AGGREGATES: [(&str, AggregateFunction); 32] = [
    ("count", AggregateFunction::Count),
    ("sum", AggregateFunction::Sum),
    ("avg", AggregateFunction::Avg),
    ("min", AggregateFunction::Min),
    ("max", AggregateFunction::Max),
    ("stddev", AggregateFunction::StddevSamp),
    ("stddev_samp", AggregateFunction::StddevSamp),
    ("stddev_pop", AggregateFunction::StddevPop),
    ("variance", AggregateFunction::VarSamp),
    ("var_samp", AggregateFunction::VarSamp),
    ("var_pop", AggregateFunction::VarPop),
    ("bool_and", AggregateFunction::BoolAnd),
    ("every", AggregateFunction::BoolAnd),
    ("bool_or", AggregateFunction::BoolOr),
    // in capitals: the planner takes these names for functions of its own
    ("FIRST_VALUE", AggregateFunction::FirstValue),
    ("LAST_VALUE", AggregateFunction::LastValue),
    ("NTH_VALUE", AggregateFunction::NthValue { n: 1 }),
    ("lag", AggregateFunction::Lag { offset: 1 }),
    ("arg_min", AggregateFunction::ArgMin),
    ("min_by", AggregateFunction::ArgMin),
    ("arg_max", AggregateFunction::ArgMax),
    ("max_by", AggregateFunction::ArgMax),
    ("mean", AggregateFunction::Avg),
    ("percentile_cont", AggregateFunction::PercentileCont { millionths: 0 }),
    ("percentile", AggregateFunction::PercentileCont { millionths: 0 }),
    ("median", AggregateFunction::PercentileCont { millionths: 500_000 }),
    ("approx_percentile", AggregateFunction::ApproxPercentile { millionths: 0 }),
    ("approx_count_distinct", AggregateFunction::ApproxCountDistinct),
    ("covar_pop", AggregateFunction::CovarPop),
    ("covar_samp", AggregateFunction::CovarSamp),
    ("corr", AggregateFunction::Corr),
    ("listagg", AggregateFunction::ListAgg { descending: false, nulls_first: true }),
];

/// Window functions that Flink has and this version has not.
pub(crate) const LATER: [&str; 7] = ["rank", "dense_rank", "ntile", "percent_rank", "cume_dist", "collect", "grouping"];

/// Functions that read the wall clock or a random number; UNIX_TIMESTAMP only without a text.
pub(crate) const NOT_REPLAYABLE: [&str; 14] = [
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "localtime",
    "now",
    "proctime",
    "current_row_timestamp",
    "unix_timestamp",
    "rand",
    "random",
    "rand_integer",
    "uuid",
    "current_watermark",
];

/// What a job may call.
pub(crate) struct Functions {
    scalars: Vec<Arc<ScalarUDF>>,
    aggregates: Vec<Arc<AggregateUDF>>,
}

impl Functions {
    pub fn new() -> Self {
        let mut scalars = scalar_udfs();
        scalars.push(Arc::new(ScalarUDF::from(Marker { signature: Signature::user_defined(Volatility::Volatile) })));
        let stub = |&(name, function): &(&'static str, AggregateFunction)| {
            let signature = Signature::user_defined(Volatility::Immutable);
            Arc::new(AggregateUDF::new_from_impl(Aggregate { name, function, signature }))
        };
        let mut aggregates: Vec<_> = AGGREGATES.iter().filter(|(n, _)| *n != "mean").map(stub).collect();
        let signature = Signature::nullary(Volatility::Immutable);
        aggregates.push(Arc::new(AggregateUDF::new_from_impl(RowNumber { signature })));
        Self { scalars, aggregates }
    }
    pub fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalars.iter().find(|u| u.name() == name || u.aliases().iter().any(|a| a == name)).cloned()
    }
    pub fn aggregate(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregates.iter().find(|u| u.name().eq_ignore_ascii_case(name)).cloned()
    }
    /// Every scalar function's name with its aliases, and the names of the aggregates, all in lower case.
    pub fn listed(&self) -> (Vec<Vec<String>>, Vec<String>) {
        let names = |u: &Arc<ScalarUDF>| std::iter::once(u.name().to_owned()).chain(u.aliases().to_vec()).collect();
        let shown = |n: &str| n != PSEUDO && arithmetic(n).is_none();
        let scalars = self.scalars.iter().filter(|u| shown(u.name())).map(names).collect();
        (scalars, self.aggregates.iter().map(|u| u.name().to_lowercase()).collect())
    }
    /// Names for "the nearest is".
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let scalars = self
            .scalars
            .iter()
            .map(|u| u.name())
            .chain(self.scalars.iter().flat_map(|u| u.aliases().iter().map(String::as_str)));
        scalars.chain(self.aggregates.iter().map(|u| u.name())).filter(|n| *n != PSEUDO && arithmetic(n).is_none())
    }
}

/// The aggregate of a planned call.
pub(crate) fn aggregate_function(name: &str) -> Option<AggregateFunction> {
    AGGREGATES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, f)| *f)
}

/// Flink's result type of an aggregate of these arguments.
fn aggregate_type(name: &str, arg: &DataType, other: Option<&DataType>) -> Result<DataType> {
    let Some(function) = aggregate_function(name) else { return plan_err!("there is no aggregate {name}") };
    match (function, arg) {
        (AggregateFunction::Count, _) => Ok(DataType::Int64),
        (_, DataType::Null) => Ok(DataType::Null),
        (f, t) => types::aggregate_type(f, Some(t), other)
            .map_err(|what| Fault::new(what.replacen(types::function_name(f), &name.to_uppercase(), 1)).into()),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Aggregate {
    name: &'static str,
    function: AggregateFunction,
    signature: Signature,
}

impl AggregateUDFImpl for Aggregate {
    fn name(&self) -> &str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        self.return_type(args).map(|_| args.to_vec())
    }
    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let name = self.name.to_uppercase();
        match (self.function, args) {
            (AggregateFunction::Lag { .. }, [arg] | [arg, _]) | (AggregateFunction::NthValue { .. }, [arg, _]) => {
                aggregate_type(self.name, arg, None)
            }
            (AggregateFunction::Lag { .. }, _) => plan_err!("{name} takes one to three arguments, not {}", args.len()),
            (AggregateFunction::NthValue { .. }, _) => {
                plan_err!("{name} takes two arguments, a value and a place, not {}", args.len())
            }
            (AggregateFunction::ArgMin | AggregateFunction::ArgMax, [arg, _]) => aggregate_type(self.name, arg, None),
            (AggregateFunction::ArgMin | AggregateFunction::ArgMax, _) => {
                plan_err!("{name} takes two arguments, a value and what is compared, not {}", args.len())
            }
            (f, [one, other]) if f.pairs() => aggregate_type(self.name, one, Some(other)),
            (f, _) if f.pairs() => plan_err!("{name} takes two arguments, not {}", args.len()),
            (AggregateFunction::PercentileCont { .. }, [arg, _]) if self.name != "median" => {
                aggregate_type(self.name, arg, None)
            }
            (AggregateFunction::ApproxPercentile { .. }, [arg, _]) => aggregate_type(self.name, arg, None),
            (AggregateFunction::PercentileCont { .. } | AggregateFunction::ApproxPercentile { .. }, _)
                if self.name != "median" =>
            {
                plan_err!("{name} takes two arguments, a value and a share from 0 to 1, not {}", args.len())
            }
            (AggregateFunction::ListAgg { .. }, [arg] | [arg, _] | [arg, _, _, _]) => {
                aggregate_type(self.name, arg, None)
            }
            (AggregateFunction::ListAgg { .. }, _) => {
                plan_err!("{name} takes one or two arguments, a text and a separator, not {}", args.len())
            }
            (_, [arg]) => aggregate_type(self.name, arg, None),
            _ => plan_err!("{name} takes one argument, not {}", args.len()),
        }
    }
    fn is_nullable(&self) -> bool {
        aggregate_function(self.name).is_none_or(types::aggregate_is_nullable)
    }
    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        if self.name == "count" { Ok(ScalarValue::Int64(Some(0))) } else { ScalarValue::try_from(data_type) }
    }
    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        plan_err!("{} is computed by the operators", self.name)
    }
}

/// Name of the function that numbers the rows of a key.
pub(crate) const ROW_NUMBER: &str = "row_number";

/// `ROW_NUMBER()`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RowNumber {
    signature: Signature,
}

impl AggregateUDFImpl for RowNumber {
    fn name(&self) -> &str {
        ROW_NUMBER
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }
    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        plan_err!("ROW_NUMBER is computed by the operators")
    }
}

/// The marker for pseudo-columns. Volatile: nothing may fold it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Marker {
    signature: Signature,
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        PSEUDO
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        Ok(args.to_vec())
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        plan_err!("{PSEUDO} is a marker")
    }
}

/// What the planner asks about operators and special syntax.
#[derive(Debug)]
pub(crate) struct Operators {
    arithmetic: Vec<(ast::BinaryOperator, Arc<ScalarUDF>)>,
    functions: Vec<(&'static str, Option<Arc<ScalarUDF>>)>,
}

impl Operators {
    pub fn new(functions: &Functions) -> Self {
        let named = ["extract", "date_part", "instr", "strpos", "substring", "substr"];
        Self {
            arithmetic: ARITHMETIC.into_iter().filter_map(|(n, op, _)| Some((op, functions.scalar(n)?))).collect(),
            functions: named.into_iter().map(|n| (n, functions.scalar(n))).collect(),
        }
    }
    fn call(&self, names: [&str; 2], args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let udf = names.iter().find_map(|n| self.functions.iter().find(|(m, _)| m == n)?.1.clone());
        Ok(match udf {
            Some(udf) => PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(udf, args))),
            None => PlannerResult::Original(args),
        })
    }
}

impl ExprPlanner for Operators {
    /// Arithmetic with a DECIMAL in it has Flink's type. DataFusion's quotients have fewer digits and are truncated, and
    /// beyond 38 digits its sums and products keep another scale. TIMEs of different digits meet in the most of them.
    fn plan_binary_op(
        &self,
        mut op: RawBinaryExpr,
        schema: &datafusion_common::DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if let Some(t) = crate::repair::most_digits(&[&op.left, &op.right], schema) {
            op.left = datafusion_expr::cast(op.left, t.clone());
            op.right = datafusion_expr::cast(op.right, t);
            return Ok(PlannerResult::Original(op));
        }
        let Some((_, udf)) = self.arithmetic.iter().find(|(o, _)| *o == op.op) else {
            return Ok(PlannerResult::Original(op));
        };
        let (l, r) = (op.left.get_type(schema)?, op.right.get_type(schema)?);
        if as_decimal(&l).is_some() && as_decimal(&r).is_some() && (l.is_decimal() || r.is_decimal()) {
            return Ok(PlannerResult::Planned(udf.call(vec![op.left, op.right])));
        }
        Ok(PlannerResult::Original(op))
    }
    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.call(["extract", "date_part"], args)
    }
    fn plan_position(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.call(["instr", "strpos"], args)
    }
    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.call(["substring", "substr"], args)
    }
}
