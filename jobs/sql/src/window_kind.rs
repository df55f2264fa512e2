//! The lengths of a window function's call: which windows they make.
//!
//! Milliseconds make even windows. Months, anything with a `TIME_ZONE`, and instants in a job with a `table.local-time-zone`
//! make windows of the calendar; but for those that lie alike in every zone.

use crate::ddl::place;
use crate::diagnostic::{Fault, Result, Span};
use crate::intervals::{Constant, evaluate, evaluate_ms, show_ms};
use crate::types::UTC;
use highwater_engine::graph::{CalendarWindows, Length, WindowKind};
use highwater_operators::periods;
use sqlparser::ast::{self, Value};

const QUARTER_MS: i64 = 900_000;
const DAY_MS: i64 = 86_400_000;

/// The arguments of a call, by their names.
pub(crate) struct Lengths<'a> {
    /// The function.
    pub name: &'a str,
    /// Where the text calls it.
    pub at: Option<Span>,
    /// What it takes.
    pub names: &'a [&'a str],
    /// What it is given.
    pub slots: &'a [Option<ast::Expr>],
    /// `table.local-time-zone`, if the time attribute is a TIMESTAMP_LTZ.
    pub zone: Option<&'a str>,
}

impl Lengths<'_> {
    /// The windows.
    pub fn kind(&self) -> Result<WindowKind> {
        if self.names.contains(&"GAP") {
            let gap = self.slot("GAP").map(|e| evaluate_ms(e).map_err(|f| f.at(self.at))).transpose()?;
            let gap_ms = self.positive("GAP", gap.map(|ms| Constant { months: 0, ms }))?;
            return Ok(WindowKind::Session { gap_ms: gap_ms.ms });
        }
        let size = self.length("SIZE")?;
        let between = ["SLIDE", "STEP"].into_iter().find(|what| self.names.contains(what));
        let step = between.map_or(Ok(size), |what| self.length(what))?;
        let growing = between == Some("STEP");
        let offset = self.slot("OFFSET").map(|e| evaluate_ms(e).map_err(|f| f.at(self.at)));
        let offset_ms = offset.transpose()?.unwrap_or(0);
        let (zone, offset_ms) = match (self.stated_zone()?, self.local()) {
            (None, Some(local)) if !is_even(step, size, growing) => {
                (Some(local.to_owned()), from_thursday(size, offset_ms))
            }
            (stated, _) => (stated, offset_ms),
        };
        match (zone, step, size) {
            (None, Length::Ms(_), Length::Ms(size_ms)) if between.is_none() => {
                Ok(WindowKind::Tumble { size_ms, offset_ms })
            }
            (None, Length::Ms(slide_ms), Length::Ms(size_ms)) if !growing => {
                Ok(WindowKind::Hop { slide_ms, size_ms, offset_ms })
            }
            (None, Length::Ms(step_ms), Length::Ms(size_ms)) => {
                if size_ms % step_ms != 0 {
                    let (size, step) = (show_ms(size_ms), show_ms(step_ms));
                    let what =
                        format!("the size of {} is {size}; it must be a multiple of the step, {step}", self.name);
                    return Err(Fault::new(what).at(self.at));
                }
                Ok(WindowKind::Cumulate { step_ms, size_ms, offset_ms })
            }
            (zone, step, size) => {
                let zone = zone.unwrap_or_else(|| UTC.into());
                let calendar = CalendarWindows { step, size, growing, offset_ms, zone };
                calendar.check().map_err(|e| Fault::new(format!("{}: {e}", self.name)).at(self.at))?;
                Ok(WindowKind::Calendar(calendar))
            }
        }
    }

    fn slot(&self, what: &str) -> Option<&ast::Expr> {
        self.names.iter().position(|n| *n == what).and_then(|i| self.slots[i].as_ref())
    }

    fn place(&self, what: &str) -> Option<Span> {
        self.slot(what).and_then(place).or(self.at)
    }

    fn length(&self, what: &str) -> Result<Length> {
        let given = self.slot(what).map(|e| evaluate(e).map_err(|f| f.at(self.at))).transpose()?;
        match self.positive(what, given)? {
            Constant { months: 0, ms } => Ok(Length::Ms(ms)),
            Constant { months, ms: 0 } => Ok(Length::Months(months)),
            _ => {
                let mixed = format!("the {} of {} mixes months and days", what.to_lowercase(), self.name);
                Err(Fault::new(mixed).at(self.place(what)).hint("OFFSET => INTERVAL .. shifts windows"))
            }
        }
    }

    fn positive(&self, what: &str, given: Option<Constant>) -> Result<Constant> {
        let lower = what.to_lowercase();
        match given {
            Some(c) if c.months >= 0 && c.ms >= 0 && c != (Constant { months: 0, ms: 0 }) => Ok(c),
            Some(c) => {
                let shown = if c.months == 0 { show_ms(c.ms) } else { Length::Months(c.months).to_string() };
                let fault = Fault::new(format!("the {lower} of {} is {shown}; it must be above 0", self.name));
                Err(fault.at(self.place(what)))
            }
            None => Err(Fault::new(format!("{}: the {lower} is missing", self.name)).at(self.at)),
        }
    }

    /// The zone of the job, if it is another than UTC and the time attribute an instant.
    fn local(&self) -> Option<&str> {
        self.zone.filter(|z| *z != UTC)
    }

    /// `TIME_ZONE => 'Europe/Berlin'`.
    fn stated_zone(&self) -> Result<Option<String>> {
        let Some(e) = self.slot("TIME_ZONE") else { return Ok(None) };
        let at = place(e).or(self.at);
        let name = match e {
            ast::Expr::Value(v) => match &v.value {
                Value::SingleQuotedString(name) => Some(name.clone()),
                _ => None,
            },
            _ => None,
        };
        let hint = "like TIME_ZONE => 'Europe/Berlin'";
        let name =
            name.ok_or_else(|| Fault::new(format!("{}: {e} is no name of a time zone", self.name)).at(at).hint(hint))?;
        let zone = periods::zone(&name).map_err(|e| Fault::new(format!("{}: {e}", self.name)).at(at).hint(hint))?;
        if !zone.is_utc() && self.zone.is_none() {
            let what = format!("{}: a TIMESTAMP(3) has no time zone, so it has no days in {name}", self.name);
            let hint = "make the time attribute a TIMESTAMP_LTZ(3): AS CAST(ts AS TIMESTAMP_LTZ(3)), if it is in UTC";
            return Err(Fault::new(what).at(at).hint(hint));
        }
        Ok(Some(name))
    }
}

/// Whether borders lie at the same instants in every zone: clocks differ by whole quarters of an hour. Windows of a day are
/// as long as the day.
fn is_even(step: Length, size: Length, growing: bool) -> bool {
    let aligned = if growing { size } else { step };
    matches!((aligned, size), (Length::Ms(ms), Length::Ms(size_ms)) if QUARTER_MS % ms == 0 && size_ms < DAY_MS)
}

/// The offset at which whole weeks of the calendar, which begin on Monday, begin on Thursday, as 1970 did: in a
/// `table.local-time-zone` they stay where Flink has them.
fn from_thursday(size: Length, offset_ms: i64) -> i64 {
    match size {
        Length::Ms(ms) if size.is_weeks() => (offset_ms - size.origin_ms()).rem_euclid(ms),
        _ => offset_ms,
    }
}
