//! The functions as DataFusion knows them, so that its planner can type calls and fold constants.

use super::super::kernel::invoke;
use super::{Argument, Function, functions};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{DataFusionError, Result, ScalarValue};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Every function, for the planner of the SQL front end. Arguments are coerced by each function's own rule; a constant
/// argument decides a type where Flink lets it.
pub fn scalar_udfs() -> Vec<Arc<ScalarUDF>> {
    functions().iter().map(|f| Arc::new(ScalarUDF::from(Planned::new(f)))).collect()
}

#[derive(Clone)]
struct Planned {
    function: &'static Function,
    aliases: Vec<String>,
    signature: Signature,
}

impl Planned {
    fn new(function: &'static Function) -> Self {
        let aliases = function.aliases().iter().map(|s| (*s).to_owned()).collect();
        Self { function, aliases, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Planned").field(&self.function.name()).finish()
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.function.name() == other.function.name()
    }
}

impl Eq for Planned {}

impl Hash for Planned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name().hash(state);
    }
}

fn plan_error(message: String) -> DataFusionError {
    DataFusionError::Plan(message)
}

fn argument(t: &DataType, constant: Option<&ScalarValue>) -> Result<Argument> {
    let constant = constant.map(|c| c.to_array_of_size(1)).transpose()?;
    Ok(Argument { data_type: t.clone(), constant })
}

impl ScalarUDFImpl for Planned {
    fn name(&self) -> &str {
        self.function.name()
    }
    fn aliases(&self) -> &[String] {
        &self.aliases
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let args: Vec<_> = types.iter().map(Argument::of).collect();
        Ok(self.function.typing(&args).map_err(plan_error)?.args)
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let args: Vec<_> = types.iter().map(Argument::of).collect();
        Ok(self.function.typing(&args).map_err(plan_error)?.returns)
    }
    fn return_field_from_args(&self, call: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types = call.arg_fields.iter().map(|f| f.data_type());
        let args: Result<Vec<_>> = types.zip(call.scalar_arguments).map(|(t, c)| argument(t, *c)).collect();
        let typing = self.function.typing(&args?).map_err(plan_error)?;
        Ok(Arc::new(Field::new(self.name(), typing.returns, true)))
    }
    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = |v: &ColumnarValue| match v {
            ColumnarValue::Scalar(s) => Some(s.clone()),
            ColumnarValue::Array(_) => None,
        };
        let args: Result<Vec<_>> = call.args.iter().map(|v| argument(&v.data_type(), constant(v).as_ref())).collect();
        let compute = self.function.bind(&args?, call.return_field.data_type()).map_err(plan_error)?;
        invoke(&compute, &call.args, call.number_rows)
    }
    fn short_circuits(&self) -> bool {
        self.function.is_lazy()
    }
}
