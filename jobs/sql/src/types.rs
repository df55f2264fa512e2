//! SQL types and Arrow types: one table for DDL, CAST and messages.

use crate::diagnostic::{Fault, Result, nearest_text};
use arrow_schema::{DataType, Field, FieldRef, TimeUnit};
use datafusion_expr::planner::TypePlanner;
use sqlparser::ast::{self, ExactNumberInfo, TimezoneInfo};
use std::sync::Arc;

pub(crate) use highwater_engine::graph::types::TIMESTAMP_MS;

/// The zone of `TIMESTAMP_LTZ` unless `table.local-time-zone` says another.
pub(crate) const UTC: &str = "UTC";

/// The Arrow type of a SQL type; TIMESTAMP_LTZ is in UTC: see [`in_zone`].
pub(crate) fn arrow_type(sql: &ast::DataType) -> Result<DataType> {
    use ast::DataType as S;
    Ok(match sql {
        S::Boolean | S::Bool => DataType::Boolean,
        S::TinyInt(None) => DataType::Int8,
        S::SmallInt(None) => DataType::Int16,
        S::Int(None) | S::Integer(None) => DataType::Int32,
        S::BigInt(None) => DataType::Int64,
        S::Float(ExactNumberInfo::None) | S::Real => DataType::Float32,
        S::Double(ExactNumberInfo::None) | S::DoublePrecision => DataType::Float64,
        S::Decimal(p) | S::Numeric(p) | S::Dec(p) => decimal(p)?,
        S::String(_) | S::Varchar(_) | S::Char(_) | S::Character(_) | S::CharacterVarying(_) => DataType::Utf8,
        S::Bytes(_) | S::Varbinary(_) | S::Binary(_) => DataType::Binary,
        S::Date => DataType::Date32,
        S::Time(p, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => time(p)?,
        S::Timestamp(p, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => DataType::Timestamp(unit(p)?, None),
        S::Custom(name, args) if name.to_string().eq_ignore_ascii_case("timestamp_ltz") => {
            let precision = match args.first() {
                None => None,
                Some(p) => Some(p.parse().map_err(|_| Fault::new(format!("{sql} is not a type")))?),
            };
            DataType::Timestamp(unit(&precision)?, Some(UTC.into()))
        }
        other => return Err(unsupported(other)),
    })
}

/// A type with the zone of the job: an instant is cut into days, shown and cast by its clocks.
pub(crate) fn in_zone(t: DataType, zone: &Arc<str>) -> DataType {
    match t {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(unit, Some(zone.clone())),
        t => t,
    }
}

/// Types without their parameters.
const NAMES: [&str; 14] = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "DECIMAL",
    "FLOAT",
    "DOUBLE",
    "STRING",
    "BYTES",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMP_LTZ",
];

fn unsupported(sql: &ast::DataType) -> Fault {
    let hint = "types: BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, DECIMAL(p, s), FLOAT, DOUBLE, STRING, BYTES, DATE, \
                TIME(p), TIMESTAMP(p), TIMESTAMP_LTZ(p)";
    let near = nearest_text(&sql.to_string(), NAMES);
    Fault::new(format!("type {sql} is not supported{near}")).hint(hint)
}

fn decimal(info: &ExactNumberInfo) -> Result<DataType> {
    let (p, s) = match *info {
        ExactNumberInfo::None => (10, 0),
        ExactNumberInfo::Precision(p) => (p, 0),
        ExactNumberInfo::PrecisionAndScale(p, s) => (p, s),
    };
    if !(1..=38).contains(&p) || s < 0 || s > p as i64 {
        return Err(Fault::new(format!("DECIMAL({p}, {s}): the precision is 1 to 38, the scale 0 to the precision")));
    }
    Ok(DataType::Decimal128(p as u8, s as i8))
}

/// TIME is TIME(0), as in Flink.
fn time(precision: &Option<u64>) -> Result<DataType> {
    Ok(match precision {
        None | Some(0) => DataType::Time32(TimeUnit::Second),
        Some(1..=3) => DataType::Time32(TimeUnit::Millisecond),
        Some(4..=6) => DataType::Time64(TimeUnit::Microsecond),
        Some(7..=9) => DataType::Time64(TimeUnit::Nanosecond),
        Some(p) => return Err(Fault::new(format!("TIME({p}): the precision is 0 to 9"))),
    })
}

fn unit(precision: &Option<u64>) -> Result<TimeUnit> {
    Ok(match precision {
        Some(0) => TimeUnit::Second,
        Some(1..=3) => TimeUnit::Millisecond,
        None | Some(4..=6) => TimeUnit::Microsecond,
        Some(7..=9) => TimeUnit::Nanosecond,
        Some(p) => return Err(Fault::new(format!("TIMESTAMP({p}): the precision is 0 to 9"))),
    })
}

/// Whether a column of this type can be an event time.
pub(crate) fn is_event_time(t: &DataType) -> bool {
    matches!(t, DataType::Timestamp(TimeUnit::Millisecond, _))
}

/// The types of CAST for the planner.
#[derive(Debug)]
pub(crate) struct FlinkTypes {
    /// Of TIMESTAMP_LTZ.
    pub zone: Arc<str>,
}

impl TypePlanner for FlinkTypes {
    fn plan_type_field(&self, sql: &ast::DataType) -> datafusion_common::Result<Option<FieldRef>> {
        Ok(Some(Arc::new(Field::new("", in_zone(arrow_type(sql)?, &self.zone), true))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Flink;
    use highwater_engine::graph::types::sql_type;
    use sqlparser::parser::Parser;

    #[test]
    fn types_keep_their_flink_names() {
        for name in [
            "BOOLEAN",
            "TINYINT",
            "SMALLINT",
            "INT",
            "BIGINT",
            "FLOAT",
            "DOUBLE",
            "DECIMAL(12, 2)",
            "STRING",
            "BYTES",
            "DATE",
            "TIME(0)",
            "TIME(3)",
            "TIME(6)",
            "TIME(9)",
            "TIMESTAMP(0)",
            "TIMESTAMP(3)",
            "TIMESTAMP(6)",
            "TIMESTAMP(9)",
            "TIMESTAMP_LTZ(3)",
        ] {
            let sql = Parser::new(&Flink).try_with_sql(name).unwrap().parse_data_type().unwrap();
            assert_eq!(sql_type(&arrow_type(&sql).unwrap()), name);
        }
    }

    #[test]
    fn synonyms_and_defaults() {
        for (from, to) in [
            ("INTEGER", "INT"),
            ("DOUBLE PRECISION", "DOUBLE"),
            ("DECIMAL", "DECIMAL(10, 0)"),
            ("NUMERIC(7)", "DECIMAL(7, 0)"),
            ("DEC(12, 2)", "DECIMAL(12, 2)"),
            ("VARCHAR(20)", "STRING"),
            ("CHAR(2)", "STRING"),
            ("VARBINARY", "BYTES"),
            ("TIME", "TIME(0)"),
            ("TIME(2) WITHOUT TIME ZONE", "TIME(3)"),
            ("TIMESTAMP", "TIMESTAMP(6)"),
            ("TIMESTAMP(3) WITHOUT TIME ZONE", "TIMESTAMP(3)"),
            ("TIMESTAMP_LTZ", "TIMESTAMP_LTZ(6)"),
        ] {
            let sql = Parser::new(&Flink).try_with_sql(from).unwrap().parse_data_type().unwrap();
            assert_eq!(sql_type(&arrow_type(&sql).unwrap()), to, "{from}");
        }
    }
}
