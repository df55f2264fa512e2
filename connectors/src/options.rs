//! Typed reading of a connector's options, the strings of `WITH (…)`.
//!
//! A connector asks [`Options`] for each option it knows; what nobody asked for is unknown, and [`Options::finish`] says
//! so with the nearest known name. Errors are collected, not returned one by one: the SQL front end points at each option
//! in the text.

use crate::calendar::instant;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// What is wrong with one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The option's name as given (or, if it is missing, as it must be given); `connector` for an unknown connector.
    pub option: String,
    /// What was found and what to do, without the option's place: `"ten" is not an integer; write e.g. '10'`.
    pub message: String,
}

impl OptionError {
    /// An error of this option.
    pub fn new(option: impl Into<String>, message: impl Into<String>) -> Self {
        Self { option: option.into(), message: message.into() }
    }
}

/// The options of one table while its connector reads them.
#[derive(Debug)]
pub struct Options<'a> {
    connector: &'a str,
    given: &'a BTreeMap<String, String>,
    known: Vec<&'static str>,
    errors: Vec<OptionError>,
}

impl<'a> Options<'a> {
    /// The options of a table of this connector. `connector` itself may be among them and is ignored.
    pub fn new(connector: &'a str, given: &'a BTreeMap<String, String>) -> Self {
        Self { connector, given, known: vec!["connector"], errors: Vec::new() }
    }

    /// The value of an option as it stands.
    pub fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.known.push(name);
        self.given.get(name).map(String::as_str)
    }

    /// The options of a family, by what stands behind `header.` of `header.*`.
    pub fn family(&mut self, name: &'static str) -> Vec<(&'a str, &'a str)> {
        self.known.push(name);
        let member = |(option, value): (&'a String, &'a String)| Some((member_of(name, option)?, value.as_str()));
        self.given.iter().filter_map(member).collect()
    }

    /// The value of an option that must be given; "" (and an error) without it.
    pub fn required(&mut self, name: &'static str, example: &str) -> &'a str {
        match self.text(name) {
            Some(value) if !value.trim().is_empty() => value,
            Some(_) => {
                self.error(name, format!("is empty; write e.g. '{name}' = '{example}'"));
                ""
            }
            None => {
                let message = format!("the {} connector needs it; add '{name}' = '{example}'", self.connector);
                self.error(name, message);
                ""
            }
        }
    }

    /// An integer; underscores may group its digits.
    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<i64>, default: i64) -> i64 {
        self.optional_integer(name, range).unwrap_or(default)
    }

    /// An integer, `None` if absent (or wrong).
    pub fn optional_integer(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        self.parsed(name, |text| {
            let value: i64 = text
                .replace('_', "")
                .parse()
                .map_err(|_| format!("{text:?} is not an integer; write a whole number such as '1000'"))?;
            within(value, range, i64::to_string)
        })
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        self.parsed(name, |text| match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("{text:?} is not a boolean; write 'true' or 'false'")),
        })
        .unwrap_or(default)
    }

    /// A duration as Flink writes it, in milliseconds: see [`parse_duration_ms`].
    pub fn duration_ms(&mut self, name: &'static str, range: RangeInclusive<i64>, default: i64) -> i64 {
        self.parsed(name, |text| within(parse_duration_ms(text)?, range, |ms| format!("{ms} ms"))).unwrap_or(default)
    }

    /// A size as Flink writes it, in bytes: see [`parse_bytes`].
    pub fn bytes(&mut self, name: &'static str, range: RangeInclusive<i64>, default: i64) -> i64 {
        self.parsed(name, |text| within(parse_bytes(text)?, range, |n| format!("{n} bytes"))).unwrap_or(default)
    }

    /// An instant, in epoch milliseconds: see [`parse_timestamp_ms`].
    pub fn timestamp_ms(&mut self, name: &'static str, default: i64) -> i64 {
        self.parsed(name, parse_timestamp_ms).unwrap_or(default)
    }

    /// A decimal number with at most three digits behind the point, in thousandths.
    pub fn thousandths(&mut self, name: &'static str, range: RangeInclusive<i64>, default: i64) -> i64 {
        self.parsed(name, |text| {
            let value = parse_thousandths(text)
                .ok_or_else(|| format!("{text:?} is not a number with at most three decimals; write e.g. '0.5'"))?;
            within(value, range, |v| format!("{}", *v as f64 / 1000.0))
        })
        .unwrap_or(default)
    }

    /// A share in 0 … 1.
    pub fn share(&mut self, name: &'static str, default: f64) -> f64 {
        self.parsed(name, |text| match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
            _ => Err(format!("{text:?} is not a share; write a number from 0 to 1 such as '0.02'")),
        })
        .unwrap_or(default)
    }

    /// One of the named values; the first one if absent (or wrong).
    pub fn choice(&mut self, name: &'static str, values: &[&'static str]) -> &'static str {
        self.parsed(name, |text| {
            let found = values.iter().find(|v| v.eq_ignore_ascii_case(text)).copied();
            found.ok_or_else(|| format!("{text:?} is unknown; use {}", one_of(text, values)))
        })
        .unwrap_or(values[0])
    }

    /// Notes an error that the connector found.
    pub fn error(&mut self, option: &str, message: impl Into<String>) {
        self.errors.push(OptionError::new(option, message));
    }

    /// The first error about this option so far, if any.
    pub fn has_error(&self, option: &str) -> bool {
        self.errors.iter().any(|e| e.option == option)
    }

    /// Takes note of options that this table does not use, with the reason if they are given.
    pub fn unused(&mut self, names: &[&'static str], why: &str) {
        for &name in names {
            if self.text(name).is_some() {
                self.error(name, why.to_owned());
            }
        }
    }

    /// The options that were asked for, or refused with a reason.
    pub fn known(&self) -> &[&'static str] {
        &self.known[1..]
    }

    /// All errors, those of unknown options last.
    pub fn finish(mut self) -> Vec<OptionError> {
        for name in self.given.keys() {
            if !self.known.iter().any(|known| known == name || member_of(known, name).is_some()) {
                let hint = one_of(name, &self.known[1..]);
                let message = if hint.is_empty() {
                    format!("unknown option; the {} connector has none", self.connector)
                } else {
                    format!("unknown option of the {} connector; use {hint}", self.connector)
                };
                self.errors.push(OptionError::new(name, message));
            }
        }
        self.errors
    }

    fn parsed<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match parse(self.text(name)?.trim()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(name, message);
                None
            }
        }
    }
}

/// What an option of the family `header.*` has behind `header.`.
fn member_of<'n>(family: &str, option: &'n str) -> Option<&'n str> {
    option.strip_prefix(family.strip_suffix('*')?).filter(|rest| !rest.is_empty())
}

fn within<T: PartialOrd>(value: T, range: RangeInclusive<T>, show: impl Fn(&T) -> String) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("{} is out of range; use {} to {}", show(&value), show(range.start()), show(range.end())))
}

/// The name among `known` that a user most likely meant, if one is near.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|k| (strsim::damerau_levenshtein(name, k), *k)).min()?;
    (near.0 <= 2.max(name.len() / 3)).then_some(near.1)
}

/// `'nearest'?`, or the whole list if nothing is near.
pub(crate) fn one_of(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(k) => format!("'{k}'"),
        None => {
            let mut names: Vec<_> = known.iter().map(|k| format!("'{k}'")).collect();
            names.dedup();
            match names.len() {
                0 | 1 => names.concat(),
                _ => format!("one of {}", names.join(", ")),
            }
        }
    }
}

/// Reads a duration as Flink writes it: an integer and a unit (`500 ms`, `5 s`, `10 min`, `1 h`, `7 d`, or the unit's
/// longer names); without a unit milliseconds.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let wrong = || format!("{text:?} is not a duration; write e.g. '500 ms', '5 s', '10 min', '1 h' or '7 d'");
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit.to_ascii_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).ok_or_else(|| format!("{text:?} is too long for a duration"))
}

/// Reads a size as Flink writes it: an integer and a unit, each 1,024 of the one before (`64 kb`, `128 MB`, `2 g`); without
/// a unit bytes.
pub fn parse_bytes(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let wrong = || format!("{text:?} is not a size; write e.g. '64 kb', '128 MB' or '2 gb'");
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kibibytes" => 10,
        "m" | "mb" | "mebibytes" => 20,
        "g" | "gb" | "gibibytes" => 30,
        "t" | "tb" | "tebibytes" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too large"))
}

/// Reads an instant: ISO 8601 (UTC where no zone is named; `T` or a blank between date and time; a date alone is its
/// midnight) or epoch milliseconds. Digits below a millisecond are an error unless they are zero.
pub fn parse_timestamp_ms(text: &str) -> Result<i64, String> {
    let text = text.trim();
    if let Ok(ms) = text.parse::<i64>() {
        return Ok(ms);
    }
    let wrong = || {
        format!("{text:?} is not a timestamp; write ISO 8601 such as '2026-01-01T00:00:00' (UTC) or epoch milliseconds")
    };
    let (ms, rest) = instant(text.as_bytes()).and_then(|i| i.ticks(3)).ok_or_else(wrong)?;
    if rest != 0 {
        return Err(format!("{text:?} is finer than a millisecond; write at most three digits behind the second"));
    }
    Ok(ms)
}

fn parse_thousandths(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || fraction.len() > 3 || !digits(fraction) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<3}").parse().ok()?;
    whole.checked_mul(1000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn durations_as_flink_writes_them() {
        for (text, ms) in [
            ("5 s", 5_000),
            ("10 min", 600_000),
            ("1 h", 3_600_000),
            ("500 ms", 500),
            ("500", 500),
            ("2d", 172_800_000),
            ("1 HOUR", 3_600_000),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
        for bad in ["", "s", "5 parsecs", "-5 s", "1.5 s", "9223372036854775807 d"] {
            assert!(parse_duration_ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_as_flink_writes_them() {
        let sizes =
            [("128MB", 134_217_728), ("64 kb", 65_536), ("1024", 1_024), ("2 g", 2_147_483_648), ("7 bytes", 7)];
        for (text, bytes) in sizes {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "MB", "1.5 MB", "-1", "1 pb", "9223372036854775807 kb"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn timestamps_in_both_forms() {
        for text in ["1767225600000", "2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01 01:00:00+01:00"] {
            assert_eq!(parse_timestamp_ms(text), Ok(1_767_225_600_000), "{text}");
        }
        assert!(parse_timestamp_ms("yesterday").unwrap_err().contains("ISO 8601"));
        assert!(parse_timestamp_ms("2026-01-01T00:00:00.0001").unwrap_err().contains("finer"));
    }

    #[test]
    fn unknown_option_names_the_nearest() {
        let map = given(&[("number-of-row", "5"), ("sed", "1")]);
        let mut o = Options::new("generator", &map);
        o.integer("number-of-rows", 0..=10, 1);
        o.integer("seed", 0..=10, 1);
        let errors = o.finish();
        assert_eq!(errors.len(), 2);
        assert!(errors[0].option == "number-of-row" && errors[0].message.contains("'number-of-rows'"), "{errors:?}");
        assert!(errors[1].message.contains("'seed'"), "{errors:?}");
    }

    #[test]
    fn wrong_values_say_what_was_found() {
        let map = given(&[("n", "ten"), ("m", "11"), ("b", "yes"), ("d", "5 parsecs"), ("x", "0.1234"), ("s", "2")]);
        let mut o = Options::new("generator", &map);
        assert_eq!(o.integer("n", 0..=10, 3), 3);
        assert_eq!(o.integer("m", 0..=10, 4), 4);
        assert!(!o.boolean("b", false));
        assert_eq!(o.duration_ms("d", 0..=10, 7), 7);
        assert_eq!(o.thousandths("x", 0..=10, 8), 8);
        assert_eq!(o.share("s", 0.5), 0.5);
        let errors = o.finish();
        for (e, part) in
            errors.iter().zip(["\"ten\"", "11 is out of range; use 0 to 10", "\"yes\"", "parsecs", "0.1234", "\"2\""])
        {
            assert!(e.message.contains(part), "{e:?}");
        }
        assert_eq!(errors.len(), 6);
    }
}
